package filter

import (
	"golang.org/x/net/http/httpguts"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// headerModifier is the RequestHeaderModifier and the ResponseHeaderModifier
// (HTTPHeaderFilter).
type headerModifier struct {
	set, add []message.Field
	remove   []string
	// authority replaces that of a request where "Host" is set.
	authority string
}

// compileHeaderModifier leaves out what cannot be sent: fields of the connection,
// Host, names that are no token and values with control characters.
func compileHeaderModifier(m *config.HeaderModifier) *headerModifier {
	if m == nil {
		return nil
	}
	c := &headerModifier{set: fields(m.Set), add: fields(m.Add)}
	for _, name := range m.Remove {
		if sendable(name, "") {
			c.remove = append(c.remove, name)
		}
	}
	for _, h := range m.Set {
		if authority, err := message.NormalizeAuthority(h.Value); err == nil && message.EqualFold(h.Name, "Host") {
			c.authority = authority
		}
	}
	return c
}

func fields(headers []config.Header) []message.Field {
	var all []message.Field
	for _, h := range headers {
		if sendable(h.Name, h.Value) {
			all = append(all, message.Field{Name: h.Name, Value: h.Value})
		}
	}
	return all
}

func sendable(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) &&
		!config.IsConnectionField(name) && !message.EqualFold(name, "Host")
}

func (m *headerModifier) request(r *message.Request) {
	m.modify(&r.Header)
	if m.authority != "" {
		r.SetAuthority(m.authority)
	}
}

func (m *headerModifier) response(r *message.Response) { m.modify(&r.Header) }

func (m *headerModifier) modify(h *message.Header) {
	for _, f := range m.set {
		h.Set(f.Name, f.Value)
	}
	h.Fields = append(h.Fields, m.add...)
	for _, name := range m.remove {
		h.Del(name)
	}
}
