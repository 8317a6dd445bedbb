package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

const ownNamespace = "sluice-system"

// world is a source that follows a server, and what it said.
type world struct {
	t      *testing.T
	server *apiServer
	source *kube.Source
	// block, if not nil, is received from in each update.
	block  chan struct{}
	cancel context.CancelFunc
	ended  chan error

	mu          sync.Mutex
	updates     [][]snapshot.Change
	times       []time.Time
	objects     map[snapshot.Key]snapshot.Object
	diagnostics []diagnostic.Diagnostic
	seen        map[snapshot.Key]int
	log         bytes.Buffer
}

// follow starts a source in a bubble of fake time.
func follow(t *testing.T, server *apiServer) *world {
	w := &world{t: t, server: server, ended: make(chan error, 1), objects: map[snapshot.Key]snapshot.Object{}, seen: map[snapshot.Key]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	w.source = kube.New(kube.Options{
		Client: server.client(t), Namespace: ownNamespace, Log: slog.New(slog.NewTextHandler(w, nil)),
		Seen: func(key snapshot.Key) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen[key]++
		},
	})
	go func() {
		defer close(w.ended)
		w.ended <- w.source.Run(ctx, w.update)
	}()
	t.Cleanup(func() {
		cancel()
		for range w.ended {
		}
	})
	return w
}

// Write takes what is logged.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *world) logged(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), text)
}

func (w *world) update(u kube.Update) {
	w.mu.Lock()
	w.updates = append(w.updates, u.Changes)
	w.times = append(w.times, time.Now())
	for _, c := range u.Changes {
		if c.Object == nil {
			delete(w.objects, c.Key)
		} else {
			w.objects[c.Key] = c.Object
		}
	}
	w.diagnostics = u.Diagnostics
	block := w.block
	w.mu.Unlock()
	if block != nil {
		<-block
	}
}

func (w *world) object(key snapshot.Key) snapshot.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[key]
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.updates)
}

// diagnostic is the one about the object; zero if there is none.
func (w *world) diagnostic(about snapshot.Key) diagnostic.Diagnostic {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.diagnostics {
		if d.Object == about {
			return d
		}
	}
	return diagnostic.Diagnostic{}
}

// until lets fake time pass until the condition holds.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	for range 10_000 {
		synctest.Wait()
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Fatalf("not in 100 s: %s\nobjects: %v\ndiagnostics: %v\nlog:\n%s", what, slices.Collect(maps.Keys(w.objects)), w.diagnostics, &w.log)
}

func (w *world) untilFirst() {
	w.t.Helper()
	w.until("the first update", func() bool { return w.count() > 0 })
}

// inBubbles runs a test of a source against a server that lists by watches, and
// against one that does not.
func inBubbles(t *testing.T, test func(*testing.T, *apiServer)) {
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("watchLists=%v", !without), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newAPIServer(t)
				server.withoutWatchLists = without
				test(t, server)
			})
		})
	}
}

func bubble(t *testing.T, test func(*testing.T, *apiServer)) {
	synctest.Test(t, func(t *testing.T) { test(t, newAPIServer(t)) })
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1}
}

func replica(name string) metav1.ObjectMeta {
	m := named(ownNamespace, name)
	m.Labels = map[string]string{v1alpha1.LabelReplica: "true"}
	return m
}

func route(name string) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{ObjectMeta: named("shop", name)}
}

func definition(kind snapshot.Kind) *metav1.PartialObjectMetadata {
	parts := strings.Split(paths[kind], "/")
	return &metav1.PartialObjectMetadata{ObjectMeta: named("", parts[4]+"."+parts[2])}
}

// oneOfEach has one object of each kind that is read whole.
func oneOfEach() []snapshot.Object {
	return []snapshot.Object{
		&gatewayv1.GatewayClass{ObjectMeta: named("", "o")},
		&gatewayv1.Gateway{ObjectMeta: named("shop", "o")},
		&gatewayv1.ListenerSet{ObjectMeta: named("shop", "o")},
		&gatewayv1.HTTPRoute{ObjectMeta: named("shop", "o")},
		&gatewayv1.GRPCRoute{ObjectMeta: named("shop", "o")},
		&gatewayv1.TLSRoute{ObjectMeta: named("shop", "o")},
		&gatewayv1.TCPRoute{ObjectMeta: named("shop", "o")},
		&gatewayv1.UDPRoute{ObjectMeta: named("shop", "o")},
		&gatewayv1.ReferenceGrant{ObjectMeta: named("shop", "o")},
		&gatewayv1.BackendTLSPolicy{ObjectMeta: named("shop", "o")},
		&v1alpha1.Backend{ObjectMeta: named("shop", "o")},
		&v1alpha1.ClientPolicy{ObjectMeta: named("shop", "o")},
		&v1alpha1.GatewayParameters{ObjectMeta: named("shop", "o")},
		&corev1.Namespace{ObjectMeta: named("", "o")},
		&corev1.Service{ObjectMeta: named("shop", "o")},
		&discoveryv1.EndpointSlice{ObjectMeta: named("shop", "o")},
		&corev1.Pod{ObjectMeta: replica("o")},
		&coordinationv1.Lease{ObjectMeta: replica("o")},
		definition(snapshot.KindGateway),
	}
}

func TestAllKindsAreReadAndFollowed(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		all := oneOfEach()
		server.put(all...)
		w := follow(t, server)
		w.untilFirst()
		for _, o := range all {
			if w.object(snapshot.KeyOf(o)) == nil {
				t.Errorf("%v is not in the first update", snapshot.KeyOf(o))
			}
		}
		for _, o := range all {
			key := snapshot.KeyOf(o)
			o.SetAnnotations(map[string]string{"changed": "yes"})
			o.SetGeneration(2)
			server.put(o)
			w.until("the change of "+key.String(), func() bool { return w.object(key).GetAnnotations()["changed"] == "yes" })
			server.remove(key)
			w.until("the end of "+key.String(), func() bool { return w.object(key) == nil && w.source.Latest(key) == nil })
		}
	})
}

func TestNothingThatIsNotWantedIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		other := named("shop", "o")
		other.Labels = map[string]string{v1alpha1.LabelReplica: "true"}
		server.put(
			&corev1.Pod{ObjectMeta: other}, &coordinationv1.Lease{ObjectMeta: other},
			&corev1.Pod{ObjectMeta: named(ownNamespace, "o")}, &coordinationv1.Lease{ObjectMeta: named(ownNamespace, "o")},
			&metav1.PartialObjectMetadata{ObjectMeta: named("", "gateways.example.com")},
			&corev1.Secret{ObjectMeta: named("shop", "o")}, &corev1.ConfigMap{ObjectMeta: named("shop", "o")},
		)
		w := follow(t, server)
		w.untilFirst()
		if n := server.asked("get secrets") + server.asked("get configmaps"); len(w.objects) > 0 || n > 0 {
			t.Errorf("%v were read, and %d Secrets and ConfigMaps", slices.Collect(maps.Keys(w.objects)), n)
		}
	})
}

func TestObjectsAreKeptOnceAndWithoutWhatNobodyReads(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		busy := route("busy")
		busy.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		busy.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "kept": "yes"}
		slice := func(name string) *discoveryv1.EndpointSlice {
			return &discoveryv1.EndpointSlice{
				ObjectMeta:  named("shop", name),
				AddressType: discoveryv1.AddressTypeIPv4,
				Ports:       []discoveryv1.EndpointPort{{Port: new(int32(80))}},
				Endpoints: []discoveryv1.Endpoint{{
					Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
					NodeName: new("node"), Zone: new("zone"), TargetRef: &corev1.ObjectReference{Name: "pod"},
				}},
			}
		}
		own := slice("own")
		own.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBySluice}
		pod := &corev1.Pod{
			ObjectMeta: replica("o"),
			Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "sluice", Env: []corev1.EnvVar{{Name: "A"}}}}},
			Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "192.0.2.2"}}, HostIPs: []corev1.HostIP{{IP: "192.0.2.3"}}},
		}
		server.put(busy, slice("theirs"), own, pod)
		w := follow(t, server)
		w.untilFirst()

		check := func(want snapshot.Object) {
			t.Helper()
			key := snapshot.KeyOf(want)
			got := w.object(key)
			if got != w.source.Latest(key) {
				t.Errorf("%v is kept twice", key)
			}
			want.SetUID(got.GetUID())
			want.SetResourceVersion(got.GetResourceVersion())
			got = got.DeepCopyObject().(snapshot.Object)
			got.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v:\n%s", key, diff)
			}
		}
		busy.ManagedFields = nil
		delete(busy.Annotations, corev1.LastAppliedConfigAnnotation)
		check(busy)
		theirs := slice("theirs")
		theirs.Endpoints[0].NodeName, theirs.Endpoints[0].Zone, theirs.Endpoints[0].TargetRef = nil, nil, nil
		check(theirs)
		check(own)
		pod.Spec.Containers = nil
		check(pod)
	})
}

func TestStatusThatSluiceWritesIsNoChange(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		r := route("o")
		key := snapshot.KeyOf(r)
		server.put(r)
		w := follow(t, server)
		w.untilFirst()
		before := w.count()

		r.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: "example.com/other"}}
		server.put(r)
		w.until("the new status", func() bool {
			return len(w.source.Latest(key).(*gatewayv1.HTTPRoute).Status.Parents) == 1
		})
		if w.count() != before || w.seen[key] != 2 {
			t.Errorf("a status is %d updates, and was seen %d times, want none and 2", w.count()-before, w.seen[key])
		}
		for _, change := range []func(){
			func() { r.Generation = 2 },
			func() { r.Labels = map[string]string{"a": "b"} },
			func() { r.Annotations = map[string]string{"a": "b"} },
			func() { r.DeletionTimestamp = new(metav1.Now().Rfc3339Copy()) },
		} {
			before = w.count()
			change()
			server.put(r)
			w.until("an update", func() bool { return w.count() == before+1 })
		}
	})
}

// A cluster has thousands of routes: what only the status differs in is kept once.
func TestSpecsOfRoutesAreKeptOnce(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		http, grpc := route("o"), &gatewayv1.GRPCRoute{ObjectMeta: named("shop", "o")}
		http.Spec.Hostnames, grpc.Spec.Hostnames = []gatewayv1.Hostname{"a"}, []gatewayv1.Hostname{"a"}
		server.put(http, grpc)
		w := follow(t, server)
		w.untilFirst()
		http.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: "example.com/other"}}
		grpc.Status.Parents = http.Status.Parents
		server.put(http, grpc)
		for _, key := range []snapshot.Key{snapshot.KeyOf(http), snapshot.KeyOf(grpc)} {
			w.until("the new status", func() bool { return w.seen[key] == 2 })
			if hostname(w.object(key)) != hostname(w.source.Latest(key)) {
				t.Errorf("the spec of %s is kept twice", key)
			}
		}
	})
}

// hostname is where a route has its first one in memory.
func hostname(route snapshot.Object) *gatewayv1.Hostname {
	if grpc, ok := route.(*gatewayv1.GRPCRoute); ok {
		return &grpc.Spec.Hostnames[0]
	}
	return &route.(*gatewayv1.HTTPRoute).Spec.Hostnames[0]
}

func TestStatusOfServicesAndReplicasIsAChange(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		service, pod := &corev1.Service{ObjectMeta: named("shop", "o")}, &corev1.Pod{ObjectMeta: replica("o")}
		server.put(service, pod)
		w := follow(t, server)
		w.untilFirst()
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		server.put(service, pod)
		w.until("both statuses", func() bool {
			return len(w.object(snapshot.KeyOf(service)).(*corev1.Service).Status.LoadBalancer.Ingress) == 1 &&
				len(w.object(snapshot.KeyOf(pod)).(*corev1.Pod).Status.Conditions) == 1
		})
	})
}

func TestWatchThatEndsIsTakenUpWhereItWas(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("a"), route("b"))
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		lists := server.asked("list httproutes")
		server.refuse(0)
		server.remove(snapshot.KeyOf(route("a")))
		w.until("the end of a route", func() bool { return w.object(snapshot.KeyOf(route("a"))) == nil })
		if again := server.asked("list httproutes"); again != lists {
			t.Errorf("everything was listed again %d times", again-lists)
		}
	})
}

func TestWhatHappenedBetweenListsIsExact(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("stays"), route("changes"), route("goes"))
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		stayed := w.object(snapshot.KeyOf(route("stays")))
		before := w.count()

		server.net.cut(true)
		server.remove(snapshot.KeyOf(route("goes")))
		changed := route("changes")
		changed.Generation = 2
		server.put(changed, route("comes"))
		server.compact()
		server.net.cut(false)
		w.until("all changes", func() bool {
			return w.object(snapshot.KeyOf(route("goes"))) == nil && w.object(snapshot.KeyOf(route("comes"))) != nil &&
				w.object(snapshot.KeyOf(changed)).GetGeneration() == 2
		})
		if key := snapshot.KeyOf(route("stays")); w.object(key) != stayed || w.source.Latest(key) != stayed || w.seen[key] != 1 {
			t.Error("a route that did not change is another object")
		}
		changes := slices.Concat(w.updates[before:]...)
		if len(changes) != 3 {
			t.Errorf("%d changes, want 3: %v", len(changes), changes)
		}
	})
}

func TestServerThatIsAwayChangesNothing(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(oneOfEach()...)
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		before := len(w.objects)

		server.net.cut(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.objects) != before || w.source.Reachable() {
			t.Errorf("%d objects of %d are left; reachable: %v", len(w.objects), before, w.source.Reachable())
		}
		server.net.cut(false)
		server.put(route("new"))
		back := time.Now()
		w.until("the new route", func() bool { return w.object(snapshot.KeyOf(route("new"))) != nil })
		if took := time.Since(back); took > 30*time.Second {
			t.Errorf("the server was found again after %v", took)
		}
		w.until("that all watch again", w.source.Reachable)
		if lost, found := w.logged("does not answer"), w.logged("answers again"); lost != 1 || found != 1 {
			t.Errorf("%d lines for a loss and %d for a return:\n%s", lost, found, &w.log)
		}
	})
}

func TestConnectionThatIsHungUpIsNoAnswer(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("o"))
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		server.net.hangUp(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if w.source.Reachable() || w.object(snapshot.KeyOf(route("o"))) == nil || w.logged("\n") != 1 {
			t.Errorf("reachable: %v; log:\n%s", w.source.Reachable(), &w.log)
		}
		server.net.hangUp(false)
		w.until("the server", w.source.Reachable)
	})
}

func TestServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.net.cut(true)
		w := follow(t, server)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if w.count() > 0 || w.source.Reachable() {
			t.Errorf("%d updates without a server; reachable: %v", w.count(), w.source.Reachable())
		}
		server.put(route("o"))
		server.net.cut(false)
		w.untilFirst()
		if w.object(snapshot.KeyOf(route("o"))) == nil {
			t.Error("the first update has no route")
		}
	})
}

func TestLoadBalancerWithoutServersIsNotTheServer(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("o"))
		w := follow(t, server)
		w.untilFirst()
		time.Sleep(time.Minute)
		var all []string
		for _, path := range paths {
			resource := path[strings.LastIndex(path, "/")+1:]
			all = append(all, "list "+resource, "watch "+resource)
		}
		server.refuse(http.StatusBadGateway, all...)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if w.source.Reachable() || w.object(snapshot.KeyOf(route("o"))) == nil || w.logged("\n") != 1 {
			t.Errorf("reachable: %v; log:\n%s", w.source.Reachable(), &w.log)
		}
		server.refuse(0, all...)
		w.until("the server", w.source.Reachable)
	})
}

func TestSourceEndsAtOnce(t *testing.T) {
	for _, away := range []bool{false, true} {
		inBubbles(t, func(t *testing.T, server *apiServer) {
			server.net.cut(away)
			w := follow(t, server)
			time.Sleep(time.Minute)
			start := time.Now()
			w.cancel()
			if err := <-w.ended; err != nil || time.Since(start) > time.Second {
				t.Errorf("ended with %v after %v (server away: %v)", err, time.Since(start), away)
			}
		})
	}
}

func TestTroublesOfTheServerHoldUpTheStart(t *testing.T) {
	for _, code := range []int{http.StatusInternalServerError, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		inBubbles(t, func(t *testing.T, server *apiServer) {
			server.put(route("o"))
			server.refuse(code, "list httproutes", "watch httproutes")
			w := follow(t, server)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if w.count() > 0 || w.logged("httproutes cannot be read") != 1 || !w.source.Reachable() {
				t.Errorf("%d: %d updates without the routes; log:\n%s", code, w.count(), &w.log)
			}
			server.refuse(0, "list httproutes", "watch httproutes")
			w.untilFirst()
			if w.object(snapshot.KeyOf(route("o"))) == nil {
				t.Error("the first update has no route")
			}
		})
	}
}
