package route

import (
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Socket is the listeners that share one address. It is immutable and safe for
// concurrent use; the zero value has no listener.
type Socket[A any] struct {
	own, wide sharded[string, *listener[A]]
}

// Match is what a request was matched to.
type Match[A any] struct {
	// Trace may be set before the search, to record how it goes.
	Trace *Trace
	// Rule is nil if no rule matches: the answer is then 404.
	Rule *Rule[A]
	// Listener is nil if no listener takes the request's host.
	Listener *config.Listener
	// Hostname is the one, of those at which routes are attached to the
	// listener, that takes the request's host.
	Hostname string
	// Prefix is the part of the path that a PathPrefix matched, without a
	// trailing slash ("/" is ""). It is empty for other matches.
	Prefix string
}

// Match finds the rule that serves the request, by its authority, method, path,
// query and header, writes to m what it found, and reports whether it found a
// rule. It allocates nothing, but where a condition looks at a repeated field,
// or an expression at a percent-encoded query parameter.
func (s *Socket[A]) Match(r *message.Request, m *Match[A]) bool {
	*m = Match[A]{Trace: m.Trace}
	host := hostOf(r)
	l := s.listener(host)
	if m.Trace != nil {
		traceListeners(m.Trace, s, host, l)
	}
	if l == nil {
		return false
	}
	m.Listener = l.config
	h := l.host(host)
	if m.Trace != nil {
		traceHosts(m.Trace, l, host, h)
	}
	if h == nil {
		return false
	}
	m.Hostname = h.hostname
	c := h.find(&search{r, m.Trace})
	if m.Trace != nil {
		traceOthers(m.Trace, h, r, c)
	}
	if c == nil {
		return false
	}
	m.Rule = c.rule
	if c.match.Path.Type == config.PathPrefix {
		m.Prefix = c.path
	}
	return true
}

// Listener is the one with the most specific hostname for a host in lower case,
// or nil.
func (s *Socket[A]) Listener(host string) *config.Listener {
	if len(host) > maxHostname {
		host = ""
	}
	if l := s.listener(host); l != nil {
		return l.config
	}
	return nil
}

// search is one run through the candidates of a host.
type search struct {
	request *message.Request
	trace   *Trace
}

// listener returns the listener with the most specific hostname for the host.
func (s *Socket[A]) listener(host string) *listener[A] {
	for key, ok := host, true; ok; key, ok = wider(key) {
		if l, ok := s.own.get(key); ok {
			return l
		}
		if l, ok := s.wide.get(key); ok {
			return l
		}
	}
	return nil
}

// host returns the most specific hostname with routes for the host.
func (l *listener[A]) host(host string) *host[A] {
	for key, ok := host, true; ok; key, ok = wider(key) {
		if h, ok := l.hosts.get(key); ok {
			return h
		}
	}
	return nil
}
