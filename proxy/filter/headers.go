package filter

import (
	"golang.org/x/net/http/httpguts"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Headers is the RequestHeaderModifier and the ResponseHeaderModifier
// (HTTPHeaderFilter), compiled. It is immutable and safe for concurrent use; nil
// does nothing.
type Headers struct {
	set, add []message.Field
	remove   []string
	// authority replaces that of a request where "Host" is set.
	authority string
}

// CompileHeaders leaves out what cannot be sent: fields of the connection,
// Host, names that are no token and values with control characters.
func CompileHeaders(m *config.HeaderModifier) *Headers {
	if m == nil {
		return nil
	}
	c := &Headers{set: fields(m.Set), add: fields(m.Add)}
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

// Request changes the head of a request.
func (m *Headers) Request(r *message.Request) {
	if m == nil {
		return
	}
	m.modify(&r.Header)
	if m.authority != "" {
		r.SetAuthority(m.authority)
	}
}

// Response changes the head of a response.
func (m *Headers) Response(r *message.Response) {
	if m != nil {
		m.modify(&r.Header)
	}
}

func (m *Headers) modify(h *message.Header) {
	for _, f := range m.set {
		h.Set(f.Name, f.Value)
	}
	h.Fields = append(h.Fields, m.add...)
	for _, name := range m.remove {
		h.Del(name)
	}
}
