package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Validate checks what the types cannot say: what the data plane relies on and
// does not check again. The error joins all that is wrong, a line each. Of a
// Delta with Reset the references are checked too.
func (d *Delta) Validate() error {
	v := validator{seen: map[Ref]bool{}}
	for _, l := range d.Listeners {
		v.listener(l)
	}
	for _, b := range d.Backends {
		v.backend(b)
	}
	v.whole = d.Reset
	for _, r := range d.Routes {
		v.route(r)
	}
	return errors.Join(v.errs...)
}

type validator struct {
	seen map[Ref]bool
	// whole says that all listeners and backends have been seen.
	whole bool
	where string
	errs  []error
}

func (v *validator) fail(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("%s: %s", v.where, fmt.Sprintf(format, args...)))
}

// enter begins a resource.
func (v *validator) enter(kind Kind, name string) {
	ref := Ref{Kind: kind, Name: name}
	v.where = fmt.Sprintf("%s %s", kind, name)
	if name == "" {
		v.fail("has no name")
	}
	if v.seen[ref] {
		v.fail("stands twice")
	}
	v.seen[ref] = true
}

func (v *validator) listener(l *Listener) {
	v.enter(KindListener, l.Name)
	if l.Port == 0 {
		v.fail("has no port")
	}
	switch l.Protocol {
	case ProtocolHTTP:
		if len(l.Certificates) > 0 {
			v.fail("has a certificate, although %s shows none", l.Protocol)
		}
		if l.TLS != nil {
			v.fail("says how it speaks TLS, although %s does not", l.Protocol)
		}
	case ProtocolHTTPS:
		if len(l.Certificates) == 0 {
			v.fail("has no certificate")
		}
	default:
		v.fail("protocol %q is not known", l.Protocol)
	}
	for i := range l.Certificates {
		v.certificate(&l.Certificates[i])
	}
	if l.BackendCertificate != nil {
		v.certificate(l.BackendCertificate)
	}
	v.listenerTLS(l.TLS)
	v.clientSettings(l.Client)
	v.hostname(l.Hostname)
}

func (v *validator) certificate(c *Certificate) {
	if c.Name == "" {
		v.fail("has a certificate without a name")
	}
	if _, err := c.Pair(); err != nil {
		v.fail("certificate %q: %v", c.Name, err)
	}
}

func (v *validator) hostname(hostname string) {
	if hostname != strings.ToLower(hostname) {
		v.fail("hostname %q is not in lower case", hostname)
	}
	if name := strings.TrimPrefix(hostname, "*."); strings.Contains(name, "*") {
		v.fail("hostname %q has a wildcard elsewhere than in its first label", hostname)
	}
}

func (v *validator) backend(b *Backend) {
	v.enter(KindBackend, b.Name)
	switch b.Protocol {
	case AppHTTP, AppWebSocket, AppH2C:
	default:
		v.fail("protocol %q is not known", b.Protocol)
	}
	for i := range b.Endpoints {
		v.endpoint(i, &b.Endpoints[i])
	}
	v.fault(b.Fault)
	if b.TLS != nil {
		v.backendTLS(b.TLS)
	}
}

func (v *validator) backendTLS(t *BackendTLS) {
	if t.Hostname == "" || strings.Contains(t.Hostname, "*") {
		v.fail("its TLS has the hostname %q; it needs one without a wildcard", t.Hostname)
	}
	v.hostname(t.Hostname)
	for i, n := range t.SANs {
		if (n.Hostname == "") == (n.URI == "") {
			v.fail("subjectAltName %d needs one of a hostname and a URI", i)
		}
		v.hostname(n.Hostname)
		if _, err := url.Parse(n.URI); err != nil {
			v.fail("subjectAltName %d: %v", i, err)
		}
	}
	if len(t.CAs) == 0 && !t.System {
		v.fail("its TLS trusts nobody")
	}
}

func (v *validator) endpoint(index int, e *Endpoint) {
	set := 0
	for _, is := range []bool{e.Address.IsValid(), e.Host != "", e.Unix != ""} {
		if is {
			set++
		}
	}
	if set != 1 {
		v.fail("endpoint %d has %d of address, host and unix; it needs one", index, set)
	}
	if e.Host != "" && e.Port == 0 || e.Address.IsValid() && e.Address.Port() == 0 {
		v.fail("endpoint %d has no port", index)
	}
}

func (v *validator) route(r *Route) {
	v.enter(KindRoute, r.Name)
	if len(r.Attachments) == 0 {
		v.fail("is attached to no listener")
	}
	for _, a := range r.Attachments {
		v.refer(KindListener, a.Listener)
		if len(a.Hostnames) == 0 {
			v.fail("its attachment to %s has no hostname", a.Listener)
		}
		for _, hostname := range a.Hostnames {
			v.hostname(hostname)
		}
	}
	for i := range r.Rules {
		v.where = fmt.Sprintf("route %s rule %d", r.Name, i)
		v.rule(&r.Rules[i])
		for _, m := range r.Rules[i].Matches {
			if (m.RPC != nil) != r.GRPC {
				v.fail("match %q is not of the route's kind", m.String())
			}
		}
	}
}

func (v *validator) refer(kind Kind, name string) {
	if v.whole && !v.seen[Ref{Kind: kind, Name: name}] {
		v.fail("refers to %s %q, which does not exist", kind, name)
	}
}
