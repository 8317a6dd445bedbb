// Package explain tells which way a request takes through a configuration and
// why it takes no other. It asks the router and the filters that serve
// requests; it has no rules of its own.
package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// Explanation is the way of one request. Names are those of the configuration.
type Explanation struct {
	Request string `json:"request"`
	// Notes say what was assumed of the request.
	Notes []string `json:"notes,omitempty"`
	// Address is the socket that the request comes in at.
	Address string `json:"address"`
	// TLS is the handshake before the request, nil in clear text.
	TLS      *Handshake `json:"tls,omitempty"`
	Listener string     `json:"listener,omitempty"`
	// Hostname is the one at which the route is attached, empty for any.
	Hostname string `json:"hostname,omitempty"`
	// Match is what the request was matched to; nil if nothing.
	Match *Match `json:"match,omitempty"`
	// Filters are the rule's, in the order in which they work.
	Filters []string `json:"filters,omitempty"`
	// Answer is what the gateway answers by itself; empty if a backend does.
	Answer string `json:"answer,omitempty"`
	// Upstream are the backends that may get the request, each with its share.
	Upstream []Upstream `json:"upstream,omitempty"`
	// Lost are the listeners, hostnames and matches that did not get the request.
	Lost []Lost `json:"lost,omitempty"`
	// Omitted counts those that are not listed because they are too many.
	Omitted int `json:"omitted,omitempty"`
}

// Match is one match of one rule of a route.
type Match struct {
	Route string `json:"route"`
	// Rule and Match count from 0.
	Rule  int `json:"rule"`
	Match int `json:"match"`
	// RuleName is often empty.
	RuleName string `json:"ruleName,omitempty"`
	// Conditions is the match in words.
	Conditions string `json:"conditions"`
}

// Lost is what did not get the request, and why.
type Lost struct {
	// What is "listener", "hostname" or "match".
	What string `json:"what"`
	// Name is that of the listener or the hostname.
	Name string `json:"name,omitempty"`
	// Match is set for matches.
	Match  *Match `json:"match,omitempty"`
	Reason string `json:"reason"`
}

// Explain finds the way of the request through the table, which must be made of
// the configuration. It fails if the configuration does not listen where the
// request goes, or if the request is none that the gateway would take.
func Explain[A any](table *route.Table[A], c *config.Delta, r Request) (*Explanation, error) {
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	e := &Explanation{Request: r.Method + " " + r.URL}
	at, err := e.chooseSocket(c, m, r)
	if err != nil {
		return nil, err
	}
	e.Address = at.bind.String()

	socket := table.Socket(at.bind)
	asked := socket.Listener(r.serverName())
	if r.protocol() == config.ProtocolHTTPS && asked == nil {
		e.Answer = "none: no listener has a certificate for this name, so the TLS handshake fails"
		return e, nil
	}
	if r.protocol() == config.ProtocolHTTPS {
		e.TLS = shake(c, at, socket, asked, r.serverName())
	}
	found := route.Match[A]{Trace: new(route.Trace)}
	matched := socket.Match(m, &found)
	e.record(found.Trace)
	if found.Listener == nil {
		e.Answer = "404: no listener takes this hostname"
		return e, nil
	}
	e.Listener, e.Hostname = found.Listener.Name, found.Hostname
	if r.protocol() == config.ProtocolHTTPS && found.Listener != asked {
		e.Answer = "421: the handshake for " + r.serverName() + " was with listener " + asked.Name
		e.Match = nil
		return e, nil
	}
	if !matched {
		e.Answer = "404: no rule matches"
		return e, nil
	}
	e.follow(m, found.Rule.Rule, &upstreams{
		configuration: c, listener: found.Listener, grpc: found.Rule.Route.GRPC, port: at.port, prefix: found.Prefix,
	})
	return e, nil
}

// record takes over how the search went.
func (e *Explanation) record(t *route.Trace) {
	for _, d := range t.Listeners {
		if !d.Won {
			e.Lost = append(e.Lost, Lost{What: "listener", Name: d.Listener, Reason: d.Reason})
		}
	}
	for _, d := range t.Hostnames {
		if !d.Won {
			e.Lost = append(e.Lost, Lost{What: "hostname", Name: cmp.Or(d.Hostname, "any"), Reason: d.Reason})
		}
	}
	for _, c := range t.Candidates {
		m := &Match{Route: c.Route, Rule: c.Rule, Match: c.Match, RuleName: c.RuleName, Conditions: c.Conditions}
		if c.Won {
			e.Match = m
		} else {
			e.Lost = append(e.Lost, Lost{What: "match", Match: m, Reason: c.Reason})
		}
	}
	e.Omitted = t.Omitted
}

// follow tells what the rule does with the request.
func (e *Explanation) follow(m *message.Request, rule *config.Rule, us *upstreams) {
	if rule.Fault != nil {
		e.Answer = fault(rule.Fault)
		return
	}
	e.Filters = filters(&rule.Filters)
	us.rule = filter.Compile(&rule.Filters)
	var x filter.Exchange
	x.Begin(m.Clone(), m.Scheme, us.port, us.prefix)
	if answer := us.rule.Request(&x); answer != nil {
		e.Answer = describeAnswer(answer)
		return
	}
	var total int64
	for i := range rule.Backends {
		total += int64(rule.Backends[i].Weight)
	}
	if total == 0 {
		e.Answer = "500: the rule has no backend that takes requests"
		return
	}
	for i := range rule.Backends {
		e.Upstream = append(e.Upstream, us.follow(m.Clone(), &rule.Backends[i], total))
	}
}

func fault(f *config.Fault) string { return fmt.Sprintf("%d: %s", f.Status, f.Reason) }

func describeAnswer(r *message.Response) string {
	answer := fmt.Sprint(r.Status)
	if location := r.Header.Get("Location"); location != "" {
		answer += " to " + location
	}
	return answer
}

// socket is where a listener accepts connections, and the port that clients
// know it by.
type socket struct {
	bind netip.AddrPort
	port uint16
}

// chooseSocket finds the socket that the request comes in at. A URL names it
// only where its host is an address.
func (e *Explanation) chooseSocket(c *config.Delta, m *message.Request, r Request) (socket, error) {
	all := sockets(c, r.protocol())
	if len(all) == 0 {
		return socket{}, fmt.Errorf("the configuration has no listener of protocol %s", r.protocol())
	}
	wanted := atPort(all, r.port())
	if len(wanted) == 0 {
		// In a cluster Gateways may have the same port. The one that a replica
		// listens on for it tells them apart.
		wanted = boundAt(all, r.port())
	}
	if len(wanted) == 0 && !r.hasPort() && len(all) == 1 {
		wanted = all
		e.Notes = append(e.Notes, fmt.Sprintf("nothing listens on port %d; taken is %s, the only socket", r.port(), describeSockets(all)))
	}
	if len(wanted) == 0 {
		return socket{}, fmt.Errorf("nothing listens on port %d; write a port in the URL: listeners are on %s", r.port(), describeSockets(all))
	}
	if host, err := netip.ParseAddr(strings.Trim(m.Host(), "[]")); err == nil {
		if i := slices.IndexFunc(wanted, func(s socket) bool { return s.bind.Addr() == host.Unmap() }); i >= 0 {
			return wanted[i], nil
		}
	}
	if len(wanted) > 1 {
		e.Notes = append(e.Notes, fmt.Sprintf("port %d is bound at %s; taken is the first", wanted[0].port, describeSockets(wanted)))
	}
	return wanted[0], nil
}

// sockets are those of all listeners of a protocol, ordered; an unspecified
// address stands for all.
func sockets(c *config.Delta, protocol config.Protocol) []socket {
	var all []socket
	for _, l := range c.Listeners {
		if l.Protocol != protocol {
			continue
		}
		for _, bind := range l.Binds() {
			all = append(all, socket{bind, l.Port})
		}
	}
	slices.SortFunc(all, func(a, b socket) int { return a.bind.Compare(b.bind) })
	return slices.Compact(all)
}

func atPort(all []socket, port uint16) []socket {
	var at []socket
	for _, s := range all {
		if s.port == port {
			at = append(at, s)
		}
	}
	return at
}

func boundAt(all []socket, port uint16) []socket {
	return slices.DeleteFunc(slices.Clone(all), func(s socket) bool { return s.bind.Port() != port })
}

func describeSockets(all []socket) string {
	names := make([]string, 0, len(all))
	for i, a := range all {
		if i == 10 {
			names = append(names, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		names = append(names, a.bind.String())
	}
	return strings.Join(names, ", ")
}
