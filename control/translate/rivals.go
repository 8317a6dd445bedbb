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
	// index has all claims, and standing those that stand. Both are nil where all
	// claims are of one kind, which is nearly everywhere: all of them stand.
	index, standing map[snapshot.Kind]*claimIndex
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
		pending: tree.New[*routeClaim, struct{}](compareRouteClaims).Edit(),
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
		r.stand(c, false)
	}
	r.setLost(c, "")
}

// resolve decides the claims that are pending, from the oldest on: what it
// decides can only matter to younger ones.
func (r *rivals) resolve() {
	both := r.any(snapshot.KindHTTPRoute) && r.any(snapshot.KindGRPCRoute)
	if both && r.index == nil {
		r.index, r.standing = map[snapshot.Kind]*claimIndex{}, map[snapshot.Kind]*claimIndex{}
		for kind, claims := range r.claims {
			r.index[kind], r.standing[kind] = newClaimIndex(), newClaimIndex()
			for c := range claims {
				if r.index[kind].add(c); c.stands {
					r.standing[kind].add(c)
				}
			}
		}
	}
	for _, c := range r.added {
		_, still := r.claims[c.route.Kind][c]
		switch {
		case !still:
		case r.index == nil:
			c.stands = true
		default:
			r.queue(c)
		}
	}
	r.added = nil
	for r.pending.Len() > 0 {
		for c := range r.pending.All() {
			r.pending, c.queued = r.pending.Delete(c), false
			r.decide(c)
			break
		}
	}
	if !both {
		r.index, r.standing = nil, nil
	}
}

func (r *rivals) queue(c *routeClaim) {
	if !c.queued {
		r.pending, c.queued = r.pending.Set(c, struct{}{}), true
	}
}

func (r *rivals) decide(c *routeClaim) {
	reason := r.standing[otherKind(c.route.Kind)].winner(c)
	r.setLost(c, reason)
	r.stand(c, reason == "")
}

// stand says whether a claim stands, and if that is new it has the rivals decided
// again that are younger: it matters to no others.
func (r *rivals) stand(c *routeClaim, stands bool) {
	if c.stands == stands {
		return
	}
	if c.stands = stands; stands {
		r.standing[c.route.Kind].add(c)
	} else {
		r.standing[c.route.Kind].remove(c)
	}
	for younger := range r.index[otherKind(c.route.Kind)].younger(c) {
		r.queue(younger)
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
