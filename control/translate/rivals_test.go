package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// Whatever the objects, no HTTPRoute and GRPCRoute get a hostname of a listener
// together.
func TestRivalsShareNoHostname(t *testing.T) {
	lost := 0
	for seed := range uint64(20) {
		w := world{newRandom(seed), t}
		s, translator := snapshot.New(), translate.New(propertyOptions)
		for step := range 40 {
			changes := []snapshot.Change{w.change(), w.remade(w.route()), w.remade(w.grpcRoute())}
			s = s.With(changes)
			view := translator.Update(s, keys(changes)).View
			routes := view.Config().Routes
			for i, a := range routes {
				for _, b := range routes[i+1:] {
					if a.GRPC != b.GRPC && meet(a, b) {
						t.Fatalf("seed %d, step %d: %s and %s share a hostname", seed, step, a, b)
					}
				}
			}
			for _, status := range view.Statuses() {
				if strings.Contains(status.String(), "HostnameConflict: listener") {
					lost++
				}
			}
		}
	}
	if lost == 0 {
		t.Error("no route has lost")
	}
}

// Who may attach routes to a shared listener must not stop everybody by thousands of
// rivals: each costs about the same, however many there are, and also where the
// oldest goes and another wins.
func TestManyRivals(t *testing.T) {
	cost := func(n int) (all, turn float64) {
		objects := slices.DeleteFunc(decode(t, oneRoute), func(c snapshot.Change) bool { return c.Key.Kind == snapshot.KindHTTPRoute })
		first := len(objects)
		for i := range n {
			meta := metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("r-%06d", i), CreationTimestamp: metav1.NewTime(time.Unix(int64(i), 0))}
			parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}}
			var route snapshot.Object = &gatewayv1.HTTPRoute{ObjectMeta: meta, Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.HTTPRouteRule{{}}}}
			if i%2 == 1 {
				route = &gatewayv1.GRPCRoute{ObjectMeta: meta, Spec: gatewayv1.GRPCRouteSpec{CommonRouteSpec: parents, Rules: []gatewayv1.GRPCRouteRule{{}}}}
			}
			objects = append(objects, snapshot.Change{Key: snapshot.KeyOf(route), Object: route})
		}
		s := snapshot.New().With(objects)
		var translator *translate.Translator
		all = testing.AllocsPerRun(1, func() {
			translator = translate.New(propertyOptions)
			translator.Update(s, nil)
		})
		oldest := objects[first]
		turn = testing.AllocsPerRun(1, func() { // which runs it twice: the second time it comes back
			change := []snapshot.Change{{Key: oldest.Key}}
			if s.Object(oldest.Key) == nil {
				change = []snapshot.Change{oldest}
			}
			s = s.With(change)
			if result := translator.Update(s, keys(change)); len(result.Statuses) < n {
				t.Errorf("of %d rivals %d have another lot", n, len(result.Statuses))
			}
		})
		return all / float64(n), turn / float64(n)
	}
	fewAll, fewTurn := cost(100)
	manyAll, manyTurn := cost(1000)
	if manyAll > 2*fewAll || manyTurn > 2*fewTurn {
		t.Errorf("allocations for each of 100: %.0f, and %.0f where the oldest goes; for each of 1000: %.0f, %.0f", fewAll, fewTurn, manyAll, manyTurn)
	}
}

func meet(a, b *config.Route) bool {
	for _, x := range a.Attachments {
		for _, y := range b.Attachments {
			if x.Listener == y.Listener && intersect(x.Hostnames, y.Hostnames) {
				return true
			}
		}
	}
	return false
}

func intersect(a, b []string) bool {
	covers := func(general, name string) bool {
		suffix, wild := strings.CutPrefix(general, "*")
		return general == "" || general == name || wild && strings.HasSuffix(name, suffix)
	}
	for _, x := range a {
		for _, y := range b {
			if covers(x, y) || covers(y, x) {
				return true
			}
		}
	}
	return false
}
