package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Upstream is one backend that the request may go to.
type Upstream struct {
	Backend string `json:"backend,omitempty"`
	// Weight of Total requests go there.
	Weight int32 `json:"weight"`
	Total  int64 `json:"total"`
	// Filters are those of the backendRef.
	Filters []string `json:"filters,omitempty"`
	// Sends is the request's line as the backend gets it, Headers what the
	// filters have made of those that were given.
	Sends   string   `json:"sends,omitempty"`
	Headers []string `json:"headers,omitempty"`
	// Protocols are those of which the backend gets it in one, by their names in
	// ALPN, whatever the client speaks.
	Protocols []string `json:"protocols,omitempty"`
	// TLS is how the backend is spoken to in TLS, nil for clear text.
	TLS *BackendTLS `json:"tls,omitempty"`
	// Answer is what the gateway answers instead.
	Answer    string   `json:"answer,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
}

// BackendTLS is how a backend is verified, as its BackendTLSPolicy says.
type BackendTLS struct {
	ServerName string `json:"serverName"`
	// Names are those of which the backend's certificate must have one.
	Names       []string `json:"names"`
	Authorities []string `json:"authorities"`
	// Identity is the certificate that a backend is shown that asks for one.
	Identity string `json:"identity,omitempty"`
}

// upstreams follows the request, which has passed the rule's filters in a copy of
// its own, to each backend of a rule.
type upstreams struct {
	configuration *config.Delta
	listener      *config.Listener
	grpc          bool
	rule          *filter.Chain
	port          uint16
	prefix        string
}

// follow tells what one backendRef does with the request, which it changes.
func (us *upstreams) follow(m *message.Request, ref *config.BackendRef, total int64) Upstream {
	u := Upstream{Backend: ref.Backend, Weight: ref.Weight, Total: total, Filters: filters(&ref.Filters)}
	if ref.Fault != nil {
		u.Answer = fault(ref.Fault)
		return u
	}
	var x filter.Exchange
	x.Begin(m, m.Scheme, us.port, us.prefix)
	us.rule.Request(&x)
	if answer := filter.Compile(&ref.Filters).Request(&x); answer != nil {
		u.Answer = describeAnswer(answer)
		return u
	}
	u.Sends = m.Method + " " + m.Authority + m.Path
	if m.HasQuery {
		u.Sends += "?" + m.Query
	}
	for _, f := range m.Header.Fields {
		u.Headers = append(u.Headers, f.Name+": "+f.Value)
	}
	us.reach(&u)
	return u
}

// reach tells how the backend is spoken to, and where.
func (us *upstreams) reach(u *Upstream) {
	all := us.configuration.Backends
	i := slices.IndexFunc(all, func(b *config.Backend) bool { return b.Name == u.Backend })
	switch {
	case i >= 0 && all[i].Fault != nil:
		u.Answer = fault(all[i].Fault)
		return
	case i < 0 || len(all[i].Endpoints) == 0:
		u.Answer = "503: the backend has no endpoints"
		return
	}
	u.Protocols = upstream.Protocols(all[i], us.grpc)
	u.TLS = us.backendTLS(all[i].TLS)
	for _, endpoint := range all[i].Endpoints {
		u.Endpoints = append(u.Endpoints, describeEndpoint(endpoint))
	}
}

func (us *upstreams) backendTLS(c *config.BackendTLS) *BackendTLS {
	if c == nil {
		return nil
	}
	b := &BackendTLS{ServerName: c.Hostname, Authorities: bundleNames(c.CAs)}
	for _, san := range c.SANs {
		b.Names = append(b.Names, san.Hostname+san.URI)
	}
	if len(c.SANs) == 0 {
		b.Names = []string{c.Hostname}
	}
	if c.System {
		b.Authorities = append(b.Authorities, "the system's authorities")
	}
	if us.listener.BackendCertificate != nil {
		b.Identity = us.listener.BackendCertificate.Name
	}
	return b
}

func bundleNames(bundles []config.TrustBundle) []string {
	var names []string
	for i := range bundles {
		names = append(names, bundles[i].Name)
	}
	return names
}

func filters(f *config.Filters) []string {
	return strings.FieldsFunc(f.String(), func(r rune) bool { return r == '\n' })
}

func describeEndpoint(e config.Endpoint) string {
	var name string
	switch {
	case e.Unix != "":
		name = "unix " + e.Unix
	case e.Host != "":
		name = fmt.Sprintf("%s:%d", e.Host, e.Port)
	default:
		name = e.Address.String()
	}
	switch {
	case e.Terminating:
		return name + " (terminating)"
	case !e.Ready:
		return name + " (not ready)"
	}
	return name
}
