package kube_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

var listenerSets = snapshot.Key{Kind: snapshot.KindListenerSet}

func TestDefinitionThatIsAbsentHoldsUpNobody(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		for _, o := range oneOfEach() {
			if snapshot.KindOf(o) != snapshot.KindListenerSet {
				server.put(o)
			}
		}
		server.put(definition(snapshot.KindHTTPRoute))
		server.refuse(http.StatusNotFound, "list listenersets", "watch listenersets")
		lists, watches := server.stall("list customresourcedefinitions"), server.stall("watch customresourcedefinitions")
		w := follow(t, server)
		time.Sleep(time.Second)
		synctest.Wait()
		if w.count() > 0 {
			t.Error("an absence is believed before the definitions are known")
		}
		start := time.Now()
		close(lists)
		close(watches)
		w.untilFirst()
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the start took %v, as if somebody waited", took)
		}
		found := w.diagnostic(listenerSets)
		if found.Severity != diagnostic.Warning || found.Fix == "" ||
			found.Message != "CustomResourceDefinition listenersets.gateway.networking.k8s.io is not installed, so objects of this kind are not served" {
			t.Errorf("found %+v", found)
		}

		// It appears.
		time.Sleep(time.Hour)
		set := &gatewayv1.ListenerSet{ObjectMeta: named("shop", "o")}
		server.refuse(0, "list listenersets", "watch listenersets")
		server.put(definition(snapshot.KindListenerSet), set)
		start = time.Now()
		w.until("the ListenerSet", func() bool {
			return w.object(snapshot.KeyOf(set)) != nil && w.diagnostic(listenerSets) == diagnostic.Diagnostic{}
		})
		if took := time.Since(start); took > time.Second {
			t.Errorf("the definition was noticed after %v", took)
		}

		// It vanishes; the objects were not even deleted one by one.
		server.remove(snapshot.KeyOf(definition(snapshot.KindListenerSet)))
		server.refuse(http.StatusNotFound, "list listenersets", "watch listenersets")
		w.until("no ListenerSet", func() bool {
			return w.object(snapshot.KeyOf(set)) == nil && w.diagnostic(listenerSets) != diagnostic.Diagnostic{}
		})
		if n := w.logged("listenersets.gateway.networking.k8s.io is not installed"); n != 2 {
			t.Errorf("%d lines for two absences:\n%s", n, &w.log)
		}
	})
}

func TestDefinitionOfAnotherVersionSaysItsRelease(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		old := definition(snapshot.KindListenerSet)
		old.Annotations = map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.2.0"}
		server.put(old)
		server.refuse(http.StatusNotFound, "list listenersets", "watch listenersets")
		w := follow(t, server)
		w.untilFirst()
		want := "CustomResourceDefinition listenersets.gateway.networking.k8s.io does not serve version v1; it is of release v1.2.0, so objects of this kind are not served"
		if got := w.diagnostic(listenerSets).Message; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		time.Sleep(time.Hour)
		server.refuse(0, "list listenersets", "watch listenersets")
		old.Annotations["gateway.networking.k8s.io/bundle-version"] = "v1.6.0"
		server.put(old)
		start := time.Now()
		w.until("the kind to be read", func() bool { return w.diagnostic(listenerSets) == diagnostic.Diagnostic{} })
		if took := time.Since(start); took > time.Second {
			t.Errorf("the new definition was noticed after %v", took)
		}
	})
}

func TestRoutesThatAreNotServedMayBeAbsent(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.refuse(http.StatusNotFound, "list udproutes", "watch udproutes")
		w := follow(t, server)
		w.untilFirst()
		if found := w.diagnostic(snapshot.Key{Kind: snapshot.KindUDPRoute}); found.Severity != diagnostic.Info {
			t.Errorf("found %+v", found)
		}
		if w.logged("level=WARN") > 0 {
			t.Errorf("warned of a kind that nobody serves:\n%s", &w.log)
		}
	})
}

func TestKindsThatAreServedAreMissed(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		absent := map[snapshot.Kind]string{
			snapshot.KindGRPCRoute: "grpcroutes", snapshot.KindBackendTLSPolicy: "backendtlspolicies", snapshot.KindClientPolicy: "clientpolicies",
		}
		for _, resource := range absent {
			server.refuse(http.StatusNotFound, "list "+resource, "watch "+resource)
		}
		w := follow(t, server)
		w.untilFirst()
		for kind, resource := range absent {
			if found := w.diagnostic(snapshot.Key{Kind: kind}); found.Severity != diagnostic.Warning || !strings.Contains(found.Message, resource) {
				t.Errorf("of %s it is found: %+v", kind, found)
			}
		}
	})
}

func TestOneServerOfSeveralThatDoesNotKnowAKindIsNotBelieved(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("o"), definition(snapshot.KindHTTPRoute))
		w := follow(t, server)
		w.untilFirst()
		for _, code := range []int{http.StatusNotFound, http.StatusForbidden} {
			time.Sleep(time.Minute)
			before := w.count()
			server.compact()
			server.refuse(code, "list httproutes", "watch httproutes")
			time.Sleep(time.Second)
			// It goes away for a while, and still refuses when it comes back.
			server.net.cut(true)
			time.Sleep(time.Minute)
			asked := server.asked("list httproutes")
			server.net.cut(false)
			w.until("an attempt", func() bool { return server.asked("list httproutes") > asked })
			server.refuse(0, "list httproutes", "watch httproutes")
			time.Sleep(time.Minute)
			synctest.Wait()
			if w.count() != before || w.object(snapshot.KeyOf(route("o"))) == nil {
				t.Errorf("a passing %d changed something: %v\n%s", code, w.updates[before:], &w.log)
			}
		}
	})
}

func TestKindThatIsForbiddenHoldsUpNobody(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(oneOfEach()...)
		server.refuse(http.StatusForbidden, "list services", "watch services", "list leases", "watch leases")
		w := follow(t, server)
		w.untilFirst()
		if len(w.objects) != len(oneOfEach())-2 {
			t.Errorf("%d objects of %d are there", len(w.objects), len(oneOfEach())-2)
		}
		for key, want := range map[snapshot.Key]string{
			{Kind: snapshot.KindService}: "give Sluice's ServiceAccount a role with list and watch for services in all namespaces",
			{Kind: snapshot.KindLease}:   "give Sluice's ServiceAccount a role with list and watch for leases.coordination.k8s.io in namespace sluice-system",
		} {
			if found := w.diagnostic(key); found.Severity != diagnostic.Error || !strings.HasPrefix(found.Fix, want) {
				t.Errorf("%v: found %+v", key, found)
			}
		}
		before := server.asked("list services")
		time.Sleep(time.Hour)
		if n := w.logged("does not let Sluice read"); n != 2 {
			t.Errorf("%d lines for two kinds:\n%s", n, &w.log)
		}
		// 10 s between attempts at most, and 5 s at least.
		if n := server.asked("list services") - before; n < 360 || n > 740 {
			t.Errorf("it was tried %d times in an hour", n)
		}

		server.refuse(0, "list services", "watch services")
		service := snapshot.KeyOf(&corev1.Service{ObjectMeta: named("shop", "o")})
		w.until("the Service", func() bool {
			return w.object(service) != nil && w.diagnostic(snapshot.Key{Kind: snapshot.KindService}) == diagnostic.Diagnostic{}
		})

		// A right that is taken away again takes nothing away.
		server.compact()
		server.refuse(http.StatusForbidden, "list services", "watch services")
		w.until("the refusal", func() bool { return w.diagnostic(snapshot.Key{Kind: snapshot.KindService}) != diagnostic.Diagnostic{} })
		if w.object(service) == nil {
			t.Error("the Service is gone with the right to read it")
		}
	})
}

func TestKindThatMayBeListedAndNotWatchedIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(route("a"))
		server.refuse(http.StatusForbidden, "watch httproutes")
		w := follow(t, server)
		w.until("the refusal", func() bool {
			return w.diagnostic(snapshot.Key{Kind: snapshot.KindHTTPRoute}) != diagnostic.Diagnostic{}
		})
		server.put(route("b"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.object(snapshot.KeyOf(route("b"))) == nil {
			t.Error("the kind is not listed again")
		}
		if n := w.logged("does not let Sluice read"); n != 1 || w.logged("read again") > 0 {
			t.Errorf("%d lines:\n%s", n, &w.log)
		}
	})
}

func TestListThatCannotBeUnderstoodHoldsUpNobody(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(route("o"))
		server.garble("gateways")
		w := follow(t, server)
		w.untilFirst()
		found := w.diagnostic(snapshot.Key{Kind: snapshot.KindGateway})
		if found.Severity != diagnostic.Error || !strings.HasPrefix(found.Message, "gateways cannot be read from the API server") {
			t.Errorf("found %+v", found)
		}
		if w.object(snapshot.KeyOf(route("o"))) == nil || !w.source.Reachable() || w.logged("does not answer") > 0 {
			t.Errorf("others suffer; log:\n%s", &w.log)
		}
		server.garble("")
		w.until("the Gateways", func() bool { return w.diagnostic(snapshot.Key{Kind: snapshot.KindGateway}) == diagnostic.Diagnostic{} })
	})
}
