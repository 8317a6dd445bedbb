package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// conflict is why a listener cannot be told apart from another.
type conflict struct {
	reason  gatewayv1.ListenerConditionReason
	message string
}

// claim is a listener's claim to a port.
type claim struct {
	gateway *gateway
	// set is nil for the Gateway's own listeners.
	set      *listenerSet
	listener *listener
}

// portKey names a port.
type portKey struct {
	// gateway is zero where all Gateways listen at the same place.
	gateway snapshot.Key
	number  gatewayv1.PortNumber
}

// port is who claims a port: the Gateways and ListenerSets with listeners on it,
// by hostname, and how many listeners there are of each family of protocols.
type port struct {
	claimants map[string]map[snapshot.Key]bool
	families  map[string]int
	secure    nested
	// mixed says that there were several families when the conflicts were last
	// resolved.
	mixed bool
}

// indexListeners notes that the listeners of an owner claim their ports, or that
// they no longer do. What that decides is resolved later.
func (t *Translator) indexListeners(owner, gateway snapshot.Key, listeners []listener, present bool) {
	for i := range listeners {
		l := &listeners[i]
		delete(t.conflicts, l.name)
		f := family(l)
		if f == "" {
			continue
		}
		key := t.portKey(gateway, l.spec.Port)
		t.touchPort(key, l.hostname)
		p := t.ports[key]
		if p == nil {
			p = &port{claimants: map[string]map[snapshot.Key]bool{}, families: map[string]int{}, secure: newNested()}
			t.ports[key] = p
		}
		p.count(l.hostname, f, owner, present)
		if f == "TLS" {
			p.secure.count(l.hostname, map[bool]int{true: 1, false: -1}[present], func(hostname string) {
				for other := range p.claimants[hostname] {
					t.work.unsettled[other] = struct{}{}
				}
			})
		}
		if len(p.families) == 0 {
			delete(t.ports, key)
		}
	}
}

// portKey is where a listener of the Gateway, or of one of its ListenerSets, claims
// the port.
func (t *Translator) portKey(gateway snapshot.Key, number gatewayv1.PortNumber) portKey {
	if t.shared() {
		return portKey{gateway: gateway, number: number}
	}
	return portKey{number: number}
}

func (t *Translator) touchPort(key portKey, hostname string) {
	if t.work.ports[key] == nil {
		t.work.ports[key] = map[string]struct{}{}
	}
	t.work.ports[key][hostname] = struct{}{}
}

func (p *port) count(hostname, family string, owner snapshot.Key, present bool) {
	if present {
		if p.claimants[hostname] == nil {
			p.claimants[hostname] = map[snapshot.Key]bool{}
		}
		p.claimants[hostname][owner] = true
		p.families[family]++
		return
	}
	delete(p.claimants[hostname], owner)
	if len(p.claimants[hostname]) == 0 {
		delete(p.claimants, hostname)
	}
	if p.families[family]--; p.families[family] == 0 {
		delete(p.families, family)
	}
}

// resolveConflicts decides, for each port where something changed, which
// listeners cannot be told apart, and dirties the owners whose lot it changes.
// Where all speak protocols of one family, only equal hostnames can conflict.
func (t *Translator) resolveConflicts() {
	for key, hostnames := range t.work.ports {
		p := t.ports[key]
		if p == nil {
			continue
		}
		mixed := len(p.families) > 1
		if mixed || p.mixed {
			var all []claim
			for hostname, owners := range p.claimants {
				all = t.appendClaims(all, key.number, hostname, owners)
			}
			t.resolveAmong(all)
		} else {
			for hostname := range hostnames {
				t.resolveAmong(t.appendClaims(nil, key.number, hostname, p.claimants[hostname]))
			}
		}
		p.mixed = mixed
	}
}

// resolveAmong resolves the conflicts of claims, which are all that can conflict
// with one another.
func (t *Translator) resolveAmong(claims []claim) {
	slices.SortFunc(claims, compareClaims)
	next := resolvePort(claims)
	for _, c := range claims {
		if t.setConflict(c.listener.name, next) {
			t.work.unlisted[c.listener.owner] = struct{}{}
			t.work.unsettled[c.listener.owner] = struct{}{}
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

// appendClaims appends the claims of the owners to a port and hostname.
func (t *Translator) appendClaims(claims []claim, number gatewayv1.PortNumber, hostname string, owners map[snapshot.Key]bool) []claim {
	for owner := range owners {
		g, listeners := t.listenersOf(owner)
		if g == nil || !g.bindable() {
			continue
		}
		for i := range listeners {
			if l := &listeners[i]; l.spec.Port == number && l.hostname == hostname && family(l) != "" {
				claims = append(claims, claim{g, t.sets[owner], l})
			}
		}
	}
	return claims
}

// compareClaims orders claims as the API does: the oldest Gateway's first, else
// the first by name, and of one Gateway its own listeners and then those of its
// ListenerSets, the oldest first, else the first by namespace and name.
func compareClaims(a, b claim) int {
	return cmp.Or(
		a.gateway.object.CreationTimestamp.Compare(b.gateway.object.CreationTimestamp.Time),
		a.gateway.key.Compare(b.gateway.key),
		compareSets(a.set, b.set),
		cmp.Compare(a.listener.field, b.listener.field),
	)
}

func compareSets(a, b *listenerSet) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), a.key.Compare(b.key))
}

// family groups the protocols that may share a port. TCP and UDP are not served
// yet, and the specification lets a TCP listener conflict with others only where
// TCP is served; but one of a ListenerSet, which comes after what its Gateway has
// on the port already, is in conflict with that.
func family(l *listener) string {
	switch l.spec.Protocol {
	case gatewayv1.HTTPProtocolType:
		return "clear"
	case gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType:
		return "TLS"
	case gatewayv1.TCPProtocolType:
		if l.owner.Kind == snapshot.KindListenerSet {
			return "TCP"
		}
	}
	return ""
}

// resolvePort finds the conflicts among the claims to one port, by listener
// name. Of the listeners of one object none may win, says the API; of several
// objects the first wins. What a ListenerSet has lost to those before it is no
// rival of its other listeners.
func resolvePort(claims []claim) map[string]conflict {
	conflicts := map[string]conflict{}
	var standing register
	for len(claims) > 0 {
		own := claims
		if end := slices.IndexFunc(claims, func(c claim) bool { return c.listener.owner != claims[0].listener.owner }); end > 0 {
			own = claims[:end]
		}
		claims = claims[len(own):]
		if own[0].set == nil {
			resolveWithin(own, conflicts)
			resolveAgainst(free(own, conflicts), &standing, conflicts)
		} else {
			resolveAgainst(own, &standing, conflicts)
			resolveWithin(free(own, conflicts), conflicts)
		}
		for _, c := range free(own, conflicts) {
			standing.add(c)
		}
	}
	return conflicts
}

// free are the claims that have no conflict so far.
func free(claims []claim, conflicts map[string]conflict) []claim {
	var all []claim
	for _, c := range claims {
		if _, ok := conflicts[c.listener.name]; !ok {
			all = append(all, c)
		}
	}
	return all
}

// resolveWithin finds the conflicts among the claims of one object. A TCP
// listener, which is not served, takes nothing from the others there.
func resolveWithin(own []claim, conflicts map[string]conflict) {
	for i, a := range own {
		for _, b := range own[i+1:] {
			if family(a.listener) == "TCP" || family(b.listener) == "TCP" {
				continue
			}
			if reason := clash(a, b); reason != "" {
				conflicts[a.listener.name] = conflictWith(reason, a, b)
				conflicts[b.listener.name] = conflictWith(reason, b, a)
			}
		}
	}
}

// resolveAgainst finds the conflicts of one object with those before it.
func resolveAgainst(own []claim, standing *register, conflicts map[string]conflict) {
	for _, c := range own {
		if winner, reason := standing.clash(c); reason != "" {
			conflicts[c.listener.name] = conflictWith(reason, c, winner)
		}
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
		// It will not be served, and so takes nothing from others. One that only
		// lacks its certificate keeps its place: nobody else gets a hostname
		// because a Secret is being replaced.
		return
	}
	if r.byHostname == nil {
		r.byHostname, r.byFamily = map[string][]claim{}, map[string][]claim{}
	}
	r.byHostname[c.listener.hostname] = append(r.byHostname[c.listener.hostname], c)
	f := family(c.listener)
	r.byFamily[f] = append(r.byFamily[f], c)
}

func (r *register) clash(c claim) (claim, gatewayv1.ListenerConditionReason) {
	for _, f := range []string{"clear", "TLS"} {
		if f == family(c.listener) {
			continue
		}
		for _, other := range r.byFamily[f] {
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
	case family(a.listener) != family(b.listener):
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
func conflictWith(reason gatewayv1.ListenerConditionReason, loser, other claim) conflict {
	what := fmt.Sprintf("protocol %s", other.listener.spec.Protocol)
	if reason == gatewayv1.ListenerReasonHostnameConflict {
		what = fmt.Sprintf("hostname %s", cmp.Or(other.listener.hostname, "*"))
	}
	return conflict{reason: reason, message: fmt.Sprintf("port %d is also claimed by %s with %s%s", other.listener.spec.Port, loser.names(other), what, precedence(other, loser))}
}

// names names another listener, as far as the claim's owner may know of it: of
// ListenerSets in other namespaces it learns nothing (ListenerSet.spec.listeners).
func (c claim) names(other claim) string {
	if c.set != nil && other.set != nil && c.set.key.Namespace != other.set.key.Namespace {
		return "a listener of another namespace"
	}
	return "listener " + other.listener.name
}

// precedence says why the winner won; it is empty where nobody did.
func precedence(winner, loser claim) string {
	older := func(kind string, a, b metav1.Object) string {
		if a.GetCreationTimestamp().Time.Equal(b.GetCreationTimestamp().Time) {
			return fmt.Sprintf(", whose %s is first by name", kind)
		}
		return fmt.Sprintf(", whose %s is older", kind)
	}
	switch {
	case winner.listener.owner == loser.listener.owner:
		return ""
	case winner.gateway != loser.gateway:
		return older("Gateway", winner.gateway.object, loser.gateway.object)
	case winner.set == nil:
		return ", and a Gateway's own listeners go first"
	}
	return older("ListenerSet", winner.set.object, loser.set.object)
}
