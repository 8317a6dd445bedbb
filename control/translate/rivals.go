package translate

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/snapshot/tree"
)

// hostnameConflict is the reason of a route that another keeps from its
// hostnames. The API names none; for listeners it has this one.
const hostnameConflict gatewayv1.RouteConditionReason = "HostnameConflict"

// rivals are the routes that claim hostnames of one listener. Of an HTTPRoute
// and a GRPCRoute whose hostnames there intersect, the older one gets the
// listener and the other does not (GRPCRoute.spec.hostnames). So a claim stands
// if no older one of the other kind that stands itself has a part of it.
type rivals struct {
	claims map[snapshot.Kind]map[*routeClaim]struct{}
	// added are the claims that are not decided yet.
	added []*routeClaim
	// index is nil where all claims are of one kind, which is nearly everywhere:
	// all of them stand.
	index map[snapshot.Kind]*claimIndex
	// pending are the claims that must be decided again, the oldest first.
	pending tree.Map[*routeClaim, struct{}]
	// lost are the routes that do not get the listener, and why.
	lost map[snapshot.Key]string
	// changed are the routes whose lot has changed.
	changed []snapshot.Key
}

func newRivals() *rivals {
	return &rivals{
		claims:  map[snapshot.Kind]map[*routeClaim]struct{}{snapshot.KindHTTPRoute: {}, snapshot.KindGRPCRoute: {}},
		pending: tree.New[*routeClaim, struct{}](compareRouteClaims),
	}
}

// lostBy says why the route does not get the listener; it is empty if it does.
func (r *rivals) lostBy(key snapshot.Key) string {
	if r == nil {
		return ""
	}
	return r.lost[key]
}

// replaceClaims notes what a route claims now. Equal claims stay what they are.
func (t *Translator) replaceClaims(before, next *route) {
	if slices.EqualFunc(before.claims, next.claims, (*routeClaim).equal) {
		next.claims = before.claims
		return
	}
	for _, c := range before.claims {
		t.rivals[c.listener].remove(c)
		t.work.rivals[c.listener] = struct{}{}
	}
	for _, c := range next.claims {
		if t.rivals[c.listener] == nil {
			t.rivals[c.listener] = newRivals()
		}
		t.rivals[c.listener].add(c)
		t.work.rivals[c.listener] = struct{}{}
	}
}

// resolveRivals decides, for each listener where claims have changed, which
// routes get it, and marks those whose lot that changes.
func (t *Translator) resolveRivals() {
	for listener := range t.work.rivals {
		r := t.rivals[listener]
		r.resolve()
		for _, key := range r.changed {
			t.graph.mark(unit{stageRoute, key})
		}
		r.changed = nil
		if !r.any(snapshot.KindHTTPRoute) && !r.any(snapshot.KindGRPCRoute) {
			delete(t.rivals, listener)
		}
	}
	clear(t.work.rivals)
}

func (r *rivals) any(kind snapshot.Kind) bool { return len(r.claims[kind]) > 0 }

func (r *rivals) add(c *routeClaim) {
	r.claims[c.route.Kind][c] = struct{}{}
	r.added = append(r.added, c)
	if r.index != nil {
		r.index[c.route.Kind].add(c)
	}
}

func (r *rivals) remove(c *routeClaim) {
	delete(r.claims[c.route.Kind], c)
	if r.index != nil {
		r.index[c.route.Kind].remove(c)
		r.pending = r.pending.Delete(c)
		r.reconsider(c)
	}
	r.setLost(c, "")
}

// resolve decides the claims that are pending, from the oldest on: what it
// decides can only matter to younger ones.
func (r *rivals) resolve() {
	both := r.any(snapshot.KindHTTPRoute) && r.any(snapshot.KindGRPCRoute)
	if both && r.index == nil {
		r.index = map[snapshot.Kind]*claimIndex{}
		for kind, claims := range r.claims {
			r.index[kind] = newClaimIndex(claims)
		}
	}
	for _, c := range r.added {
		if r.index != nil {
			r.pending = r.pending.Set(c, struct{}{})
		}
		c.stands = r.index == nil
	}
	r.added = nil
	for r.pending.Len() > 0 {
		for c := range r.pending.All() {
			r.pending = r.pending.Delete(c)
			r.decide(c)
			break
		}
	}
	if !both {
		r.index = nil
	}
}

func (r *rivals) decide(c *routeClaim) {
	reason := r.index[otherKind(c.route.Kind)].winner(c)
	r.setLost(c, reason)
	if stands := reason == ""; stands != c.stands {
		r.reconsider(c)
		c.stands = stands
	}
}

// reconsider has the rivals of a claim decided again that are younger than it.
func (r *rivals) reconsider(c *routeClaim) {
	for younger := range r.index[otherKind(c.route.Kind)].younger(c) {
		r.pending = r.pending.Set(younger, struct{}{})
	}
}

func (r *rivals) setLost(c *routeClaim, reason string) {
	if r.lost[c.route] == reason {
		return
	}
	r.changed = append(r.changed, c.route)
	if reason == "" {
		delete(r.lost, c.route)
		return
	}
	if r.lost == nil {
		r.lost = map[snapshot.Key]string{}
	}
	r.lost[c.route] = reason
}

func otherKind(kind snapshot.Kind) snapshot.Kind {
	if kind == snapshot.KindHTTPRoute {
		return snapshot.KindGRPCRoute
	}
	return snapshot.KindHTTPRoute
}
