package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String prints the delta for people: every resource in the order that it
// stands in, then what is removed. Equal deltas print equally. The version is
// left out, so that configurations can be compared.
func (d *Delta) String() string {
	var p printer
	for _, l := range d.Listeners {
		p.listener(l)
	}
	for _, r := range d.Routes {
		p.route(r)
	}
	for _, b := range d.Backends {
		p.backend(b)
	}
	for _, ref := range d.Removed {
		p.line("removed", string(ref.Kind), ref.Name)
	}
	return p.String()
}

// String prints the listener and its certificates, without their keys.
func (l *Listener) String() string { return printed(func(p *printer) { p.listener(l) }) }

// String prints the route, its attachments and its rules.
func (r *Route) String() string { return printed(func(p *printer) { p.route(r) }) }

// String prints the backend and its endpoints.
func (b *Backend) String() string { return printed(func(p *printer) { p.backend(b) }) }

// String prints the filters, each on a line of its own; it is empty without any.
func (f *Filters) String() string { return printed(func(p *printer) { p.filters(f) }) }

// String prints the match on one line, as in "PathPrefix / method=GET" or
// "RPC service=shop.Cart method=Add".
func (m *Match) String() string {
	return strings.Join(m.words(), " ")
}

func (m *Match) words() []string {
	words := []string{string(m.Path.Type), m.Path.Value}
	if m.RPC != nil {
		words = m.RPC.words()
	}
	if m.Method != "" {
		words = append(words, word("method", m.Method))
	}
	for _, h := range m.Headers {
		words = append(words, value("header", h))
	}
	for _, q := range m.Query {
		words = append(words, value("query", q))
	}
	return words
}

func (m *RPCMatch) words() []string {
	words := []string{"RPC"}
	for _, part := range []struct{ key, value string }{{"service", m.Service}, {"method", m.Method}} {
		switch {
		case part.value == "":
		case m.Regex:
			words = append(words, part.key+"~"+strconv.Quote(part.value))
		default:
			words = append(words, word(part.key, part.value))
		}
	}
	return words
}

func printed(f func(*printer)) string {
	var p printer
	f(&p)
	return p.String()
}

// printer writes lines of words, indented.
type printer struct {
	strings.Builder
	indent int
}

// line writes the words that are not empty.
func (p *printer) line(words ...string) {
	p.WriteString(strings.Repeat("  ", p.indent))
	separator := ""
	for _, word := range words {
		if word != "" {
			p.WriteString(separator)
			p.WriteString(word)
			separator = " "
		}
	}
	p.WriteByte('\n')
}

func (p *printer) within(f func()) {
	p.indent++
	f()
	p.indent--
}

// word is "key=value", or empty without a value.
func word(key, value string) string {
	if value == "" {
		return ""
	}
	if strings.ContainsAny(value, " \t\"") {
		value = strconv.Quote(value)
	}
	return key + "=" + value
}

func number[N int | int32 | uint16](key string, value N) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf("%s=%d", key, value)
}

func list(key string, values []string) string { return word(key, strings.Join(values, ",")) }

func duration(key string, value time.Duration) string {
	if value == 0 {
		return ""
	}
	return key + "=" + value.String()
}

func flag(name string, set bool) string {
	if set {
		return name
	}
	return ""
}

func (p *printer) listener(l *Listener) {
	var addresses []string
	for _, a := range l.Addresses {
		addresses = append(addresses, a.String())
	}
	p.line("listener", l.Name, number("port", l.Port), number("bindPort", l.BindPort), word("protocol", string(l.Protocol)), word("hostname", l.Hostname), list("addresses", addresses))
	p.within(func() {
		for i := range l.Certificates {
			p.certificate("certificate", &l.Certificates[i])
		}
		p.listenerTLS(l.TLS)
		if l.BackendCertificate != nil {
			p.certificate("backendCertificate", l.BackendCertificate)
		}
		p.clientSettings(l.Client)
	})
}

// certificate prints where it is from and which one it is, by the names and the
// SHA-256 fingerprint of its leaf. The key is not printed.
func (p *printer) certificate(key string, c *Certificate) {
	leaf, err := c.leaf()
	if err != nil {
		p.line(key, c.Name, "invalid")
		return
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	p.line(key, c.Name, list("names", names), word("sha256", fingerprint(leaf.Raw)))
}

func (p *printer) route(r *Route) {
	created := ""
	if !r.Created.IsZero() {
		created = r.Created.UTC().Format(time.RFC3339)
	}
	p.line("route", r.Name, word("created", created), flag("grpc", r.GRPC))
	p.within(func() {
		for _, a := range r.Attachments {
			p.attachment(a)
		}
		for i := range r.Rules {
			p.rule(i, &r.Rules[i])
		}
	})
}

func (p *printer) attachment(a Attachment) {
	hostnames := make([]string, len(a.Hostnames))
	for i, h := range a.Hostnames {
		hostnames[i] = h
		if h == "" {
			hostnames[i] = "*"
		}
	}
	p.line("at", a.Listener, list("hostnames", hostnames))
}

func (p *printer) rule(index int, r *Rule) {
	p.line("rule", strconv.Itoa(index), r.Name)
	p.within(func() {
		for i := range r.Matches {
			p.line("match", r.Matches[i].String())
		}
		p.fault(r.Fault)
		p.filters(&r.Filters)
		p.timeouts(r.Timeouts)
		p.retry(r.Retry)
		for i := range r.Backends {
			p.backendRef(&r.Backends[i])
		}
	})
}

// value is "header:name=value", or "header:name~expression".
func value(kind string, m ValueMatch) string {
	operator := "="
	if m.Regex {
		operator = "~"
	}
	return kind + ":" + m.Name + operator + strconv.Quote(m.Value)
}

func (p *printer) fault(f *Fault) {
	if f != nil {
		p.line("fault", strconv.Itoa(f.Status), f.Reason)
	}
}

func (p *printer) timeouts(t Timeouts) {
	if t != (Timeouts{}) {
		p.line("timeouts", duration("request", t.Request), duration("backendRequest", t.BackendRequest))
	}
}

func (p *printer) retry(r *Retry) {
	if r == nil {
		return
	}
	codes := make([]string, len(r.Codes))
	for i, code := range r.Codes {
		codes[i] = strconv.Itoa(code)
	}
	p.line("retry", fmt.Sprintf("attempts=%d", r.Attempts), list("codes", codes), duration("backoff", r.Backoff))
}

func (p *printer) backendRef(b *BackendRef) {
	p.line("to", b.Backend, fmt.Sprintf("weight=%d", b.Weight))
	p.within(func() {
		p.fault(b.Fault)
		p.filters(&b.Filters)
	})
}

func (p *printer) backend(b *Backend) {
	p.line("backend", b.Name, string(b.Protocol), flag("restricted", b.Restricted))
	p.within(func() {
		p.fault(b.Fault)
		p.backendTLS(b.TLS)
		for i := range b.Endpoints {
			p.endpoint(&b.Endpoints[i])
		}
	})
}

func (p *printer) endpoint(e *Endpoint) {
	where := e.Unix
	switch {
	case e.Address.IsValid():
		where = e.Address.String()
	case e.Host != "":
		where = fmt.Sprintf("%s:%d", e.Host, e.Port)
	}
	p.line(where, flag("ready", e.Ready), flag("serving", e.Serving), flag("terminating", e.Terminating))
}
