package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// conflict is why a listener cannot be told apart from another.
type conflict struct {
	reason  gatewayv1.ListenerConditionReason
	message string
}

// claim is a listener's claim to a port.
type claim struct {
	gateway  *gateway
	listener *listener
}

// resolveConflicts decides, for each port where something changed, which
// listeners cannot be told apart, and dirties the Gateways whose lot it changes.
func (t *Translator) resolveConflicts() {
	for port := range t.work.ports {
		next := resolvePort(t.claims(port))
		for key := range t.ports[port] {
			for _, l := range t.gateways[key].listeners {
				if l.spec.Port == port && t.setConflict(l.name, next) {
					t.work.unlisted[key] = struct{}{}
					t.work.unsettled[key] = struct{}{}
				}
			}
		}
	}
}

// setConflict reports whether it changed the listener's lot.
func (t *Translator) setConflict(name string, next map[string]conflict) bool {
	now, is := next[name]
	before, was := t.conflicts[name]
	if is {
		t.conflicts[name] = now
	} else {
		delete(t.conflicts, name)
	}
	return is != was || now != before
}

// claims are those of a port, the oldest Gateway's first, else the first by name.
func (t *Translator) claims(port gatewayv1.PortNumber) []claim {
	var claims []claim
	for key := range t.ports[port] {
		g := t.gateways[key]
		for i := range g.listeners {
			if l := &g.listeners[i]; l.spec.Port == port && g.bindable() && family(l.spec.Protocol) != "" {
				claims = append(claims, claim{g, l})
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(
			a.gateway.object.CreationTimestamp.Compare(b.gateway.object.CreationTimestamp.Time),
			a.gateway.key.Compare(b.gateway.key),
			// Within a Gateway the order of the listeners.
			cmp.Compare(a.listener.field, b.listener.field),
		)
	})
	return claims
}

// family groups the protocols that may share a port. TCP and UDP are not
// served yet, and the specification lets a TCP listener conflict with others
// only where TCP is served.
func family(protocol gatewayv1.ProtocolType) string {
	switch protocol {
	case gatewayv1.HTTPProtocolType:
		return "clear"
	case gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType:
		return "TLS"
	}
	return ""
}

// resolvePort finds the conflicts among the claims to one port, by listener
// name. Of the listeners of one Gateway none may win, says the API; between
// Gateways the older wins.
func resolvePort(claims []claim) map[string]conflict {
	conflicts := map[string]conflict{}
	var standing register
	for len(claims) > 0 {
		own := claims
		if end := slices.IndexFunc(claims, func(c claim) bool { return c.gateway != claims[0].gateway }); end > 0 {
			own = claims[:end]
		}
		claims = claims[len(own):]
		resolveWithin(own, conflicts)
		resolveAgainst(own, &standing, conflicts)
	}
	return conflicts
}

// resolveWithin finds the conflicts among the claims of one Gateway.
func resolveWithin(own []claim, conflicts map[string]conflict) {
	for i, a := range own {
		for _, b := range own[i+1:] {
			if reason := clash(a, b); reason != "" {
				conflicts[a.listener.name] = conflictWith(reason, b, "")
				conflicts[b.listener.name] = conflictWith(reason, a, "")
			}
		}
	}
}

// resolveAgainst finds the conflicts of one Gateway with the older ones. What
// has none joins the claims that stand.
func resolveAgainst(own []claim, standing *register, conflicts map[string]conflict) {
	for _, c := range own {
		if _, ok := conflicts[c.listener.name]; ok {
			continue
		}
		if winner, reason := standing.clash(c); reason != "" {
			conflicts[c.listener.name] = conflictWith(reason, winner, precedence(winner.gateway, c.gateway))
			continue
		}
		standing.add(c)
	}
}

// register is the claims to a port that stand. Few protocols and many
// hostnames share a port, so a claim is compared with few others.
type register struct {
	byHostname map[string][]claim
	byFamily   map[string][]claim
}

func (r *register) add(c claim) {
	if len(c.listener.invalid) > 0 {
		return // It will not be served, and so takes nothing from others.
	}
	if r.byHostname == nil {
		r.byHostname, r.byFamily = map[string][]claim{}, map[string][]claim{}
	}
	r.byHostname[c.listener.hostname] = append(r.byHostname[c.listener.hostname], c)
	f := family(c.listener.spec.Protocol)
	r.byFamily[f] = append(r.byFamily[f], c)
}

func (r *register) clash(c claim) (claim, gatewayv1.ListenerConditionReason) {
	for f, others := range r.byFamily {
		if f == family(c.listener.spec.Protocol) {
			continue
		}
		for _, other := range others {
			if reason := clash(other, c); reason != "" {
				return other, reason
			}
		}
	}
	for _, other := range r.byHostname[c.listener.hostname] {
		if reason := clash(other, c); reason != "" {
			return other, reason
		}
	}
	return claim{}, ""
}

// clash says why two listeners of a port cannot be told apart; it is empty if
// they can.
func clash(a, b claim) gatewayv1.ListenerConditionReason {
	p, q := a.listener.spec.Protocol, b.listener.spec.Protocol
	switch {
	case !overlap(a.gateway.addresses, b.gateway.addresses):
		return ""
	case family(p) != family(q):
		return gatewayv1.ListenerReasonProtocolConflict
	case a.listener.hostname != b.listener.hostname:
		return ""
	case p != q:
		return gatewayv1.ListenerReasonProtocolConflict
	}
	return gatewayv1.ListenerReasonHostnameConflict
}

// overlap reports whether a connection may arrive at both sets of addresses;
// an empty set is all of them.
func overlap(a, b []netip.Addr) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			if x == y || x.IsUnspecified() || y.IsUnspecified() {
				return true
			}
		}
	}
	return false
}

// conflictWith says what the other listener claims, and why it may.
func conflictWith(reason gatewayv1.ListenerConditionReason, other claim, why string) conflict {
	l := other.listener
	what := fmt.Sprintf("protocol %s", l.spec.Protocol)
	if reason == gatewayv1.ListenerReasonHostnameConflict {
		what = fmt.Sprintf("hostname %s", cmp.Or(l.hostname, "*"))
	}
	return conflict{reason: reason, message: fmt.Sprintf("port %d is also claimed by listener %s with %s%s", l.spec.Port, l.name, what, why)}
}

// precedence says why the winner of two Gateways won.
func precedence(winner, loser *gateway) string {
	if winner.object.CreationTimestamp.Equal(&loser.object.CreationTimestamp) {
		return ", whose Gateway is first by name"
	}
	return ", whose Gateway is older"
}
