package translate

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// hostnameConflict is the reason of a route that another keeps from its
// hostnames. The API names none; for listeners it has this one.
const hostnameConflict gatewayv1.RouteConditionReason = "HostnameConflict"

// routeClaim is a route's claim to hostnames of a listener, by the name of the
// listener in the configuration.
type routeClaim struct {
	listener  string
	hostnames []string
}

// rivals are the routes that claim hostnames of one listener. Of an HTTPRoute
// and a GRPCRoute whose hostnames there intersect, the older one gets the
// listener and the other does not (GRPCRoute.spec.hostnames).
type rivals struct {
	claims map[snapshot.Kind]map[*route][]string
	// lost are the routes that do not get the listener, and why.
	lost map[snapshot.Key]string
}

// lostBy says why the route does not get the listener; it is empty if it does.
func (r *rivals) lostBy(key snapshot.Key) string {
	if r == nil {
		return ""
	}
	return r.lost[key]
}

// replaceClaims notes what a route claims now, and where that must be resolved.
func (t *Translator) replaceClaims(before, next *route) {
	same := before.created.Equal(next.created) && reflect.DeepEqual(before.claims, next.claims)
	for _, c := range before.claims {
		r := t.rivals[c.listener]
		delete(r.claims[before.key.Kind], before)
		if len(r.claims[before.key.Kind]) == 0 {
			delete(r.claims, before.key.Kind)
		}
		if !same {
			t.work.rivals[c.listener] = struct{}{}
		}
	}
	for _, c := range next.claims {
		r := t.rivals[c.listener]
		if r == nil {
			r = &rivals{claims: map[snapshot.Kind]map[*route][]string{}}
			t.rivals[c.listener] = r
		}
		if r.claims[next.key.Kind] == nil {
			r.claims[next.key.Kind] = map[*route][]string{}
		}
		r.claims[next.key.Kind][next] = c.hostnames
		if !same {
			t.work.rivals[c.listener] = struct{}{}
		}
	}
}

// resolveRivals decides, for each listener where claims have changed, which
// routes get it, and marks those whose lot that changes.
func (t *Translator) resolveRivals() {
	for listener := range t.work.rivals {
		r := t.rivals[listener]
		before := r.lost
		r.resolve()
		for _, lost := range []map[snapshot.Key]string{before, r.lost} {
			for key := range lost {
				if before[key] != r.lost[key] {
					t.graph.mark(unit{stageRoute, key})
				}
			}
		}
		if len(r.claims) == 0 {
			delete(t.rivals, listener)
		}
	}
	clear(t.work.rivals)
}

// resolve goes through the routes from the oldest on. It costs nothing where all
// are of one kind, which is nearly everywhere.
func (r *rivals) resolve() {
	r.lost = nil
	if len(r.claims) < 2 {
		return
	}
	var all []*route
	for _, claims := range r.claims {
		all = slices.AppendSeq(all, maps.Keys(claims))
	}
	slices.SortFunc(all, compareRoutes)
	r.lost = map[snapshot.Key]string{}
	standing := map[snapshot.Kind]*holders{snapshot.KindHTTPRoute: newHolders(), snapshot.KindGRPCRoute: newHolders()}
	for _, route := range all {
		hostnames := r.claims[route.key.Kind][route]
		winner, claimed := standing[otherKind(route.key.Kind)].find(hostnames)
		if winner == nil {
			standing[route.key.Kind].add(route, hostnames)
			continue
		}
		r.lost[route.key] = claimed + " by " + winner.describe(route)
	}
}

func otherKind(kind snapshot.Kind) snapshot.Kind {
	if kind == snapshot.KindHTTPRoute {
		return snapshot.KindGRPCRoute
	}
	return snapshot.KindHTTPRoute
}

// compareRoutes orders routes by age, else by namespace and name.
func compareRoutes(a, b *route) int {
	return cmp.Or(
		a.created.Compare(b.created),
		cmp.Compare(a.key.Namespace, b.key.Namespace),
		cmp.Compare(a.key.Name, b.key.Name),
		cmp.Compare(a.key.Kind, b.key.Kind),
	)
}

// describe says who won over the loser, which learns nothing of routes in other
// namespaces but that there is one.
func (r *route) describe(loser *route) string {
	name := r.key.String()
	if r.key.Namespace != loser.key.Namespace {
		name = "a route of another namespace"
	}
	if r.created.Equal(loser.created) {
		return name + ", which is first by name"
	}
	return name + ", which is older"
}

// holders are the oldest routes that hold hostnames.
type holders struct {
	names map[string]*route
	// beneath has for each hostname the holder of one that it covers.
	beneath map[string]*route
}

func newHolders() *holders { return &holders{map[string]*route{}, map[string]*route{}} }

// add adds a route that is younger than those before.
func (h *holders) add(r *route, hostnames []string) {
	for _, hostname := range hostnames {
		if h.names[hostname] == nil {
			h.names[hostname] = r
		}
		for key, ok := wider(hostname); ok; key, ok = wider(key) {
			if h.beneath[key] == nil {
				h.beneath[key] = r
			}
		}
	}
}

// find returns a route that holds some of what one of the hostnames stands for,
// and says which hostname that is.
func (h *holders) find(hostnames []string) (r *route, claimed string) {
	for _, hostname := range hostnames {
		for key, ok := hostname, true; ok; key, ok = wider(key) {
			if r := h.names[key]; r != nil {
				return r, fmt.Sprintf("hostname %s is claimed", cmp.Or(hostname, "*"))
			}
		}
		if r := h.beneath[hostname]; r != nil {
			return r, fmt.Sprintf("hostname %s is partly claimed", cmp.Or(hostname, "*"))
		}
	}
	return nil, ""
}
