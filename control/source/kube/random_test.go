package kube_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// TestRandomHistories holds that whatever happens to objects, watches, connections
// and rights, in the end the updates amount to what the API server has, and with
// it to the Secrets and ConfigMaps that are referred to.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				h := history{server: server, random: rand.New(rand.NewPCG(seed, 0))}
				server.withoutWatchLists = seed%2 == 1
				for range h.random.IntN(30) {
					h.object()
				}
				w := follow(t, server)
				for range 200 {
					h.step()
					time.Sleep(time.Duration(h.random.IntN(100)) * time.Millisecond)
				}
				h.calm()
				var missing string
				defer func() {
					if missing != "" {
						t.Error("not as the server has it:", missing)
					}
				}()
				w.until("what the server has", func() bool { missing = h.compare(w); return missing == "" })
			})
		})
	}
}

// spoken are kinds whose statuses are no news.
var spoken = []snapshot.Kind{snapshot.KindHTTPRoute, snapshot.KindGateway, snapshot.KindBackendTLSPolicy}

// history makes things happen to a server.
type history struct {
	server *apiServer
	random *rand.Rand
}

func (h history) step() {
	switch h.random.IntN(30) {
	case 0:
		h.server.refuse(0)
	case 1:
		h.server.compact()
	case 2:
		h.server.net.cut(false)
	case 3:
		h.server.net.cut(true)
	case 4:
		h.server.net.cut(false)
	case 5:
		codes := []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests}
		h.server.refuse(codes[h.random.IntN(len(codes))], h.requests()...)
	case 6, 7:
		h.server.refuse(0, h.requests()...)
	default:
		h.object()
	}
}

// requests are those for one kind.
func (h history) requests() []string {
	resources := []string{"gateways", "secrets", "configmaps", "httproutes", "services"}
	resource := resources[h.random.IntN(len(resources))]
	return []string{"list " + resource, "watch " + resource, "get " + resource}
}

// object sets or removes an object.
func (h history) object() {
	names := []string{"a", "b", "c", "d"}
	name := func() string { return names[h.random.IntN(len(names))] }
	var o snapshot.Object
	switch h.random.IntN(7) {
	case 0:
		o = listens(name(), name(), name())
	case 1:
		o = secret(name(), fmt.Sprint(h.random.Uint64()))
	case 2:
		r := route(name())
		r.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: gatewayv1.GatewayController(fmt.Sprint("example.com/", h.random.Uint64()))}}
		o = r
	case 3:
		o = &corev1.Service{ObjectMeta: named("shop", name())}
	case 4:
		o = &discoveryv1.EndpointSlice{ObjectMeta: named("shop", name())}
	case 5:
		o = trusts(name(), name())
	case 6:
		o = authority(name(), fmt.Sprint(h.random.Uint64()))
	}
	if h.random.IntN(4) == 0 {
		h.server.remove(snapshot.KeyOf(o))
		return
	}
	o.SetGeneration(h.random.Int64())
	if snapshot.KindOf(o) == snapshot.KindHTTPRoute {
		o.SetGeneration(h.random.Int64N(2)) // often only the status is new
	}
	h.server.put(o)
}

// calm ends all troubles.
func (h history) calm() {
	h.server.net.cut(false)
	h.server.mu.Lock()
	clear(h.server.refusals)
	h.server.mu.Unlock()
	h.server.compact()
}

// compare says what is not as the server has it.
func (h history) compare(w *world) string {
	h.server.mu.Lock()
	want := maps.Clone(h.server.objects)
	h.server.mu.Unlock()
	wanted := map[snapshot.Key]bool{}
	for _, o := range want {
		for _, key := range kube.References(o) {
			wanted[key] = true
		}
	}
	referent := func(key snapshot.Key) bool {
		return key.Kind == snapshot.KindSecret || key.Kind == snapshot.KindConfigMap
	}
	maps.DeleteFunc(want, func(key snapshot.Key, _ snapshot.Object) bool { return referent(key) && !wanted[key] })

	w.mu.Lock()
	defer w.mu.Unlock()
	for key, o := range want {
		got, latest := w.objects[key], w.source.Latest(key)
		if referent(key) {
			latest = got // they are not kept
		}
		switch {
		case got == nil || latest == nil:
			return "no " + key.String()
		case latest.GetResourceVersion() != o.GetResourceVersion():
			return "not the latest " + key.String()
		case got.GetUID() != o.GetUID() || got.GetGeneration() != o.GetGeneration():
			return "an old " + key.String()
		case !slices.Contains(spoken, key.Kind) && got.GetResourceVersion() != o.GetResourceVersion():
			return "an old version of " + key.String()
		}
	}
	for key := range w.objects {
		if want[key] == nil {
			return "still " + key.String()
		}
	}
	if len(w.diagnostics) > 0 {
		return w.diagnostics[0].Message
	}
	return ""
}
