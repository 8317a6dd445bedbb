package config

import (
	"regexp"
	"slices"
	"strings"
)

func (v *validator) rule(r *Rule) {
	if len(r.Matches) == 0 {
		v.fail("has no match")
	}
	for i := range r.Matches {
		v.match(&r.Matches[i])
	}
	v.fault(r.Fault)
	v.filters(&r.Filters)
	for i := range r.Backends {
		v.backendRef(&r.Backends[i])
	}
	if r.Timeouts.Request < 0 || r.Timeouts.BackendRequest < 0 {
		v.fail("has a negative timeout")
	}
	if r.Retry != nil && (r.Retry.Attempts < 0 || r.Retry.Backoff < 0) {
		v.fail("has a negative number of attempts or a negative backoff")
	}
}

func (v *validator) match(m *Match) {
	if m.RPC != nil {
		v.rpc(m)
	} else {
		v.path(m.Path)
	}
	v.values(m.Headers)
	v.values(m.Query)
	for _, h := range m.Headers {
		if h.Name != strings.ToLower(h.Name) {
			v.fail("header %q is not in lower case", h.Name)
		}
	}
}

func (v *validator) rpc(m *Match) {
	if m.Path != (PathMatch{}) || m.Method != "" || len(m.Query) > 0 {
		v.fail("matches a method of gRPC, and something of HTTP beside it")
	}
	for _, name := range []string{m.RPC.Service, m.RPC.Method} {
		if m.RPC.Regex {
			v.regex(name)
		} else if strings.Contains(name, "/") {
			v.fail("%q has a /, which no name of a service or method has", name)
		}
	}
}

func (v *validator) path(m PathMatch) {
	switch m.Type {
	case PathExact, PathPrefix:
		if !strings.HasPrefix(m.Value, "/") {
			v.fail("path %q does not begin with /", m.Value)
		}
	case PathRegex:
		v.regex(m.Value)
	default:
		v.fail("path match %q is not known", m.Type)
	}
}

func (v *validator) values(matches []ValueMatch) {
	for i, m := range matches {
		if slices.ContainsFunc(matches[:i], func(before ValueMatch) bool { return before.Name == m.Name }) {
			v.fail("%q is matched twice", m.Name)
		}
		if m.Regex {
			v.regex(m.Value)
		}
	}
}

func (v *validator) regex(expression string) {
	if _, err := regexp.Compile(expression); err != nil {
		v.fail("%v", err)
	}
}

func (v *validator) fault(f *Fault) {
	if f != nil && (f.Status < 400 || f.Status > 599) {
		v.fail("its fault has the status %d, which is no error", f.Status)
	}
}

func (v *validator) filters(f *Filters) {
	if f.Redirect != nil && f.Rewrite != nil {
		v.fail("has a redirect and a rewrite")
	}
	if r := f.Redirect; r != nil && !slices.Contains([]int{301, 302, 303, 307, 308}, r.Status) {
		v.fail("its redirect has the status %d", r.Status)
	}
	for _, m := range f.Mirrors {
		v.refer(KindBackend, m.Backend)
		if m.Denominator < 1 || m.Numerator < 0 || m.Numerator > m.Denominator {
			v.fail("mirrors %d/%d of the requests", m.Numerator, m.Denominator)
		}
	}
}

func (v *validator) backendRef(b *BackendRef) {
	if b.Weight < 0 {
		v.fail("backend %q has the weight %d", b.Backend, b.Weight)
	}
	v.fault(b.Fault)
	v.filters(&b.Filters)
	if b.Fault == nil || b.Backend != "" {
		v.refer(KindBackend, b.Backend)
	}
}
