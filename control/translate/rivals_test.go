package translate_test

import (
	"strings"
	"testing"

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
