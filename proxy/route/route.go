// Package route finds the rule that serves a request.
//
// A [Table] is compiled from the configuration's listeners and routes. It is
// immutable: [Table.Apply] makes the next one and shares with it everything
// that did not change. The rules of the search are those of the Gateway API
// (HTTPRoute and Gateway, API version v1):
//
//   - Of the listeners on one socket, the one with the most specific hostname
//     takes the request, and only routes attached to it are considered (HTTP
//     listener isolation).
//   - Of the hostnames at which routes are attached to that listener, the most
//     specific one takes the request: an exact name before a wildcard, a longer
//     wildcard before a shorter, any wildcard before none.
//   - There is no fall-through. If no rule of that listener and hostname matches,
//     none does, even where a less specific hostname has one that would. The
//     specification leaves this open; Envoy-based implementations do the same,
//     and it keeps a catch-all from answering for someone else's hostname.
//   - Of the rules of that hostname, over all routes, the first match wins in this
//     order: an Exact path, a RegularExpression path, the longest PathPrefix;
//     then a match of the method, more header matches, more query matches, the
//     older route, the lesser namespace/name, the earlier rule.
//   - Of the rules of GRPCRoutes: a service by its name, by a RegularExpression,
//     any service; then likewise the method; then more header matches, the older
//     route and so on. Names that match one request are equally long, so that
//     this is the order by characters of the specification. At one hostname of a
//     listener there are routes of one kind only (GRPCRoute.spec.hostnames).
//
// The specification leaves the place of RegularExpression open. It stands
// before PathPrefix because a prefix is most often the catch-all beside it; the
// length of an expression says nothing about how specific it is and is not
// compared.
package route

import (
	"net/netip"

	"github.com/sluicegateway/sluice/config"
)

// Table is every listener and route in force. It is immutable and safe for
// concurrent use. The zero value and nil are empty tables.
//
// A is what the caller compiles for each rule (see [Table.Apply]).
type Table[A any] struct {
	routes    sharded[string, *compiled[A]]
	listeners sharded[string, *listener[A]]
	// sockets has, for each address that is bound, its listeners by hostKey.
	sockets sharded[netip.AddrPort, sharded[string, *listener[A]]]
}

// Rule is one rule of one route, compiled. It stays the same, and so does its
// Action, for as long as the configuration of its route is the same: state may
// hang on it.
type Rule[A any] struct {
	Route *config.Route
	// Rule is the route's rule; where one of its regular expressions is
	// invalid, a copy of it that has a Fault.
	Rule *config.Rule
	// Index is the rule's place in the route, from 0.
	Index  int
	Action A
}

// listener is a listener and the routes attached to it. The configuration is
// nil as long as only routes name it.
type listener[A any] struct {
	config *config.Listener
	hosts  sharded[string, *host[A]]
}

// Socket returns the listeners that share the address. An unspecified address
// stands for all of the host's. Listeners without an address of their own serve
// on every address; a listener bound to the very address goes before them where
// both have the same hostname.
//
// The result costs two lookups, belongs to this table, and may be kept as
// long as the table is in force.
func (t *Table[A]) Socket(bind netip.AddrPort) Socket[A] {
	if t == nil {
		return Socket[A]{}
	}
	wide := netip.AddrPortFrom(netip.IPv6Unspecified(), bind.Port())
	var s Socket[A]
	s.wide, _ = t.sockets.get(wide)
	if own := canonical(bind); own != wide {
		s.own, _ = t.sockets.get(own)
	}
	return s
}

// canonical gives the one form of an address under which its socket is kept.
func canonical(bind netip.AddrPort) netip.AddrPort {
	addr := bind.Addr().Unmap()
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(addr.WithZone(""), bind.Port())
}

// binds returns the addresses that a listener is bound to, in their one form.
func binds(l *config.Listener) []netip.AddrPort {
	all := l.Binds()
	for i := range all {
		all[i] = canonical(all[i])
	}
	return all
}
