package kube_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

func listener(name string, conditions ...metav1.Condition) gatewayv1.ListenerStatus {
	return gatewayv1.ListenerStatus{Name: gatewayv1.SectionName(name), SupportedKinds: []gatewayv1.RouteGroupKind{}, Conditions: conditions}
}

func gatewayStatus(conditions []metav1.Condition, listeners ...gatewayv1.ListenerStatus) status.Status {
	return status.Status{Gateway: &gatewayv1.GatewayStatus{Conditions: conditions, Listeners: listeners}}
}

// parents is the status of a route with Gateways that have accepted it, or not.
func parents(accepted metav1.ConditionStatus, names ...string) status.Status {
	s := status.Status{Route: &gatewayv1.RouteStatus{}}
	for _, name := range names {
		s.Route.Parents = append(s.Route.Parents, parent(controller, name, accepted))
	}
	return s
}

func parent(of, name string, accepted metav1.ConditionStatus) gatewayv1.RouteParentStatus {
	return gatewayv1.RouteParentStatus{
		ParentRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name)}, ControllerName: gatewayv1.GatewayController(of),
		Conditions: []metav1.Condition{is("Accepted", accepted)},
	}
}

// said is the status that the server has of an object.
func (s *apiServer) said(key snapshot.Key) string { return status.Of(s.object(key)).String() }

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

var (
	gw  = key(snapshot.KindGateway, "gw")
	web = key(snapshot.KindHTTPRoute, "web")
)

// Each kind is written once, and after a restart not at all: also with the times of
// the conditions, which only the objects know then.
func TestStatusesAreWrittenWhereTheyDiffer(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		accepted := []metav1.Condition{is("Accepted", "True")}
		wishes := map[snapshot.Key]status.Status{
			{Kind: snapshot.KindGatewayClass, Name: "sluice"}: {GatewayClass: &gatewayv1.GatewayClassStatus{
				Conditions: accepted, SupportedFeatures: []gatewayv1.SupportedFeature{{Name: "Gateway"}, {Name: "HTTPRoute"}},
			}},
			gw:                                    gatewayStatus(accepted, listener("b", accepted...), listener("a", accepted...)),
			key(snapshot.KindListenerSet, "more"): {ListenerSet: &gatewayv1.ListenerSetStatus{Conditions: accepted}},
			key(snapshot.KindBackend, "own"):      {Backend: &v1alpha1.BackendStatus{Conditions: accepted}},
			web:                                   parents("True", "gw"),
			key(snapshot.KindGRPCRoute, "calls"):  parents("True", "gw"),
			key(snapshot.KindBackendTLSPolicy, "trust"): ancestors("gw"),
			key(snapshot.KindClientPolicy, "clients"):   ancestors("gw"),
		}
		server.put(class("sluice", controller), gateway("gw"), route("web"),
			&gatewayv1.ListenerSet{ObjectMeta: named("shop", "more")}, &v1alpha1.Backend{ObjectMeta: named("shop", "own")},
			&gatewayv1.GRPCRoute{ObjectMeta: named("shop", "calls")}, &gatewayv1.BackendTLSPolicy{ObjectMeta: named("shop", "trust")},
			&v1alpha1.ClientPolicy{ObjectMeta: named("shop", "clients")})
		start := func() *author {
			a := newAuthor(t, server, true)
			for key, wish := range wishes {
				a.statuses.Set(key, wish)
			}
			pass(time.Minute)
			return a
		}
		start().stop()
		if n := server.written(); n != len(wishes) {
			t.Errorf("%d writes, want one for each of %d objects", n, len(wishes))
		}
		for key, wish := range wishes {
			expect(t, key.String(), server.said(key), wish.String())
		}
		start()
		if n := server.written(); n != len(wishes) {
			t.Errorf("%d writes after a restart", n-len(wishes))
		}
	})
}

// Conditions are a list by type and listeners one by name, and each belongs to who
// wrote it. What Sluice wrote once and does not wish any more goes.
func TestConditionsOfOthersStay(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"))
		a := newAuthor(t, server, true)
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True"), is("Programmed", "True")},
			listener("a", is("Accepted", "True"), is("Conflicted", "True")), listener("b", is("Accepted", "True"))))
		pass(time.Second)
		server.apply(t, "others", gw, "/status", `{
			apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw}, status: {
				conditions: [{type: Theirs, status: "True", reason: Theirs}],
				listeners: [{name: a, conditions: [{type: Theirs, status: "True", reason: Theirs}]}]}}`)
		pass(time.Minute)
		if n := server.asked("patch gateways/status"); n != 2 {
			t.Errorf("%d writes, want ours and theirs", n)
		}
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}, listener("a", is("Accepted", "True"))))
		pass(time.Minute)
		expect(t, "without what is not wished any more", server.said(gw), `Accepted=True Accepted
Theirs=True Theirs
listener a attachedRoutes=0 supportedKinds=[]
  Accepted=True Accepted
  Theirs=True Theirs
`)
		a.statuses.Set(gw, status.Status{})
		pass(time.Minute)
		expect(t, "without us", server.said(gw), `Theirs=True Theirs
listener a attachedRoutes=0 supportedKinds=[]
  Theirs=True Theirs
`)
		if n := server.asked("patch gateways/status"); n != 4 {
			t.Errorf("%d writes in all, want 4", n)
		}
	})
}

// "Implementations MUST update only entries that have a matching value of
// controllerName" (RouteStatus.parents).
func TestParentsOfOthersStay(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		shared := route("web")
		shared.Status.Parents = []gatewayv1.RouteParentStatus{
			parent("example.net/one", "first", "True"), parent(controller, "old", "False"), parent("example.net/two", "second", "False"),
		}
		server.put(shared)
		a := newAuthor(t, server, true)
		a.statuses.Set(web, parents("True", "gw", "other"))
		pass(time.Second)
		expect(t, "joined", server.said(web), `parent first
  Accepted=True Accepted
parent second
  Accepted=False Accepted
parent gw
  Accepted=True Accepted
parent other
  Accepted=True Accepted
`)
		a.statuses.Set(web, status.Status{})
		pass(time.Second)
		expect(t, "left", server.said(web), "parent first\n  Accepted=True Accepted\nparent second\n  Accepted=False Accepted\n")
		if n := server.written(); n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
	})
}

// The parents of a route are a map, whatever their order: who writes them in another
// one is not answered, which would never end.
func TestEntriesInAnotherOrderStay(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(route("web"))
		a := newAuthor(t, server, true)
		a.statuses.Set(web, parents("True", "gw", "other"))
		pass(time.Minute)
		turned := server.object(web).DeepCopyObject().(*gatewayv1.HTTPRoute)
		slices.Reverse(turned.Status.Parents)
		server.put(turned)
		pass(time.Minute)
		expect(t, "in another order", server.said(web), "parent other\n  Accepted=True Accepted\nparent gw\n  Accepted=True Accepted\n")
		if n := server.written(); n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
	})
}

// ancestors is the status of a policy with Gateways that have accepted it.
func ancestors(names ...string) status.Status {
	s := status.Status{Policy: &gatewayv1.PolicyStatus{}}
	for _, name := range names {
		s.Policy.Ancestors = append(s.Policy.Ancestors, ancestor(controller, name))
	}
	return s
}

func ancestor(of, name string) gatewayv1.PolicyAncestorStatus {
	return gatewayv1.PolicyAncestorStatus{
		AncestorRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name)}, ControllerName: gatewayv1.GatewayController(of),
		Conditions: []metav1.Condition{is("Accepted", "True")},
	}
}

// "If this slice is full, implementations MUST NOT add further entries"
// (PolicyStatus.ancestors): and none of another controller is pushed out.
func TestAncestorsOfOthersStay(t *testing.T) {
	for _, policy := range []snapshot.Object{
		&gatewayv1.BackendTLSPolicy{ObjectMeta: named("shop", "policy")}, &v1alpha1.ClientPolicy{ObjectMeta: named("shop", "policy")},
	} {
		bubble(t, func(t *testing.T, server *apiServer) {
			key := snapshot.KeyOf(policy)
			said := &status.Of(policy).Policy.Ancestors
			*said = []gatewayv1.PolicyAncestorStatus{ancestor("example.net/one", "first"), ancestor(controller, "old"), ancestor("example.net/two", "second")}
			server.put(policy)
			a := newAuthor(t, server, true)
			a.statuses.Set(key, ancestors("gw", "other"))
			pass(time.Second)
			expect(t, "joined", server.said(key), `ancestor first
  Accepted=True Accepted
ancestor second
  Accepted=True Accepted
ancestor gw
  Accepted=True Accepted
ancestor other
  Accepted=True Accepted
`)
			var many []string
			for i := range 16 {
				many = append(many, fmt.Sprint("gw-", i))
			}
			a.statuses.Set(key, ancestors(many...))
			pass(time.Minute)
			got := status.Of(server.object(key)).Policy.Ancestors
			if len(got) != 16 || got[0].ControllerName != "example.net/one" || got[1].ControllerName != "example.net/two" || got[15].AncestorRef.Name != "gw-13" {
				t.Errorf("full, there are %d ancestors, the last one is %s", len(got), got[len(got)-1].AncestorRef.Name)
			}
			if n := a.logged("a policy is in force for more than its status takes"); n != 1 {
				t.Errorf("%d lines say that there is no room", n)
			}
			a.statuses.Set(key, status.Status{})
			pass(time.Second)
			expect(t, "left", server.said(key), "ancestor first\n  Accepted=True Accepted\nancestor second\n  Accepted=True Accepted\n")
			if n := server.written(); n != 3 {
				t.Errorf("%d writes, want 3", n)
			}
		})
	}
}

// Two controllers that write at the same time: who comes second writes again, and
// what the first one said stays.
func TestAncestorsAreWrittenOnTopOfWhatIsThere(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		policy := &gatewayv1.BackendTLSPolicy{ObjectMeta: named("shop", "policy")}
		key := snapshot.KeyOf(policy)
		server.put(policy)
		one, two := newAuthor(t, server, true), newAuthorOf(t, server, "example.net/two", true)
		one.statuses.Set(key, ancestors("gw"))
		theirs := ancestors("theirs")
		theirs.Policy.Ancestors[0].ControllerName = "example.net/two"
		two.statuses.Set(key, theirs)
		pass(time.Minute)
		names := map[gatewayv1.ObjectName]bool{}
		for _, a := range status.Of(server.object(key)).Policy.Ancestors {
			names[a.AncestorRef.Name] = true
		}
		if len(names) != 2 || !names["gw"] || !names["theirs"] {
			t.Errorf("the policy is accepted by %v", names)
		}
	})
}

// lastTransitionTime is when the status of the condition changed, whoever leads.
func TestTimesOfConditionsOutliveARestart(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(route("web"), gateway("gw"))
		times := func() []string {
			g, r := server.object(gw).(*gatewayv1.Gateway), server.object(web).(*gatewayv1.HTTPRoute)
			var all []string
			for _, c := range slices.Concat(g.Status.Conditions, r.Status.Parents[0].Conditions) {
				all = append(all, c.LastTransitionTime.UTC().Format(time.TimeOnly))
			}
			return all
		}
		set := func(accepted metav1.ConditionStatus, message string) {
			a := newAuthor(t, server, true)
			condition := is("Accepted", accepted)
			condition.Message = message
			r := parents(accepted, "gw")
			r.Route.Parents[0].Conditions[0].Message = message
			a.statuses.Set(gw, gatewayStatus([]metav1.Condition{condition}))
			a.statuses.Set(web, r)
			pass(time.Second)
			a.stop()
		}
		set("True", "one")
		before := times()
		time.Sleep(time.Hour)
		set("True", "two")
		if got := times(); !slices.Equal(got, before) {
			t.Errorf("times %v after a change of the message, want %v", got, before)
		}
		set("False", "two")
		if got := times(); got[0] == before[0] || got[1] == before[1] {
			t.Errorf("times %v after a change of the status, still those of before", got)
		}
	})
}

// Attaching 1,000 routes within 1.5 s takes fewer than 50 writes to the Gateway,
// and the last one is right.
func TestManyChangesOfAnObjectAreFewWrites(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"))
		a := newAuthor(t, server, true)
		begin := time.Now()
		for i := range int32(1000) {
			s := gatewayStatus([]metav1.Condition{is("Accepted", "True")}, listener("a"))
			s.Gateway.Listeners[0].AttachedRoutes = i + 1
			a.statuses.Set(gw, s)
			if i == 0 {
				pass(time.Millisecond)
				if server.written() != 1 {
					t.Error("the first change is not written at once")
				}
			}
			time.Sleep(1500 * time.Microsecond)
		}
		for server.object(gw).(*gatewayv1.Gateway).Status.Listeners[0].AttachedRoutes != 1000 {
			if pass(time.Millisecond); time.Since(begin) > 2*time.Second {
				t.Fatal("the last change is not written")
			}
		}
		if n := server.written(); n < 10 || n > 49 {
			t.Errorf("%d writes", n)
		}
	})
}

// A write that hangs holds up its own object only.
func TestObjectsAreWrittenSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"))
		a := newAuthor(t, server, true)
		release := server.stall("patch gateways/status")
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
		for i := range 100 {
			name := fmt.Sprint(i)
			server.put(route(name))
			pass(time.Millisecond)
			a.statuses.Set(key(snapshot.KindHTTPRoute, name), parents("True", "gw"))
		}
		pass(time.Second)
		if n := server.asked("patch httproutes/status"); n != 100 {
			t.Errorf("%d of 100 routes are written while a Gateway hangs", n)
		}
		close(release)
		pass(time.Second)
		expect(t, "the Gateway", server.said(gw), "Accepted=True Accepted\n")
	})
}

// What fails in passing is tried again, and the newest wish is written then.
func TestFailuresPass(t *testing.T) {
	for _, code := range []int{
		http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusUnauthorized,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				server.put(gateway("gw"), route("web"))
				a := newAuthor(t, server, true)
				server.refuse(code, "patch gateways/status", "patch httproutes/status")
				a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "False")}))
				a.statuses.Set(web, parents("False", "gw"))
				pass(5 * time.Second)
				if n := server.written(); n < 6 || n > 40 {
					t.Errorf("%d writes of two objects in 5 s, want a growing wait between them", n)
				}
				a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
				a.statuses.Set(web, parents("True", "gw"))
				server.refuse(0, "patch gateways/status", "patch httproutes/status")
				pass(10 * time.Second)
				expect(t, "Gateway", server.said(gw), "Accepted=True Accepted\n")
				expect(t, "route", server.said(web), "parent gw\n  Accepted=True Accepted\n")
			})
		})
	}
}

// A route that changed since it was seen is not written over.
func TestAnEditNeedsTheNewestRoute(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(route("web"))
		a := newAuthor(t, server, true)
		release := server.stall("patch httproutes/status")
		a.statuses.Set(web, parents("True", "gw"))
		pass(time.Second)
		changed := route("web")
		changed.Status.Parents = []gatewayv1.RouteParentStatus{parent("example.net/one", "first", "True")}
		server.put(changed)
		close(release)
		pass(time.Second)
		expect(t, "route", server.said(web), "parent first\n  Accepted=True Accepted\nparent gw\n  Accepted=True Accepted\n")
		if n := server.written(); n != 2 {
			t.Errorf("%d writes, want a conflict and one that goes well", n)
		}
	})
}

// Without the right to write, one line in the log says which it is, and the server
// is asked rarely.
func TestForbiddenIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		a := newAuthor(t, server, true)
		server.refuse(http.StatusForbidden, "patch httproutes/status")
		for i := range 50 {
			server.put(route(fmt.Sprint(i)))
			pass(time.Millisecond)
			a.statuses.Set(key(snapshot.KindHTTPRoute, fmt.Sprint(i)), parents("True", "gw"))
		}
		pass(100 * time.Second)
		if n := a.logged("patch for httproutes/status in group gateway.networking.k8s.io"); n != 1 {
			t.Errorf("said %d times", n)
		}
		if n := server.written(); n > 200 {
			t.Errorf("%d writes in 100 s", n)
		}
		server.refuse(0, "patch httproutes/status")
		pass(time.Minute)
		for i := range 50 {
			expect(t, "route", server.said(key(snapshot.KindHTTPRoute, fmt.Sprint(i))), "parent gw\n  Accepted=True Accepted\n")
		}
	})
}

// What the server finds invalid is said with its words, once, and tried at each change.
func TestInvalidIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"))
		a := newAuthor(t, server, true)
		server.refuse(http.StatusUnprocessableEntity, "patch gateways/status")
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "False")}))
		pass(100 * time.Second)
		if n := a.logged("the API server refused a status"); n != 1 || server.written() > 4 {
			t.Errorf("said %d times, asked %d times", n, server.written())
		}
		server.refuse(0, "patch gateways/status")
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
		pass(time.Second)
		expect(t, "Gateway", server.said(gw), "Accepted=True Accepted\n")
	})
}

// An entry that somebody removes is written again, but two controllers of one name
// are not at each other's throats.
func TestTwoControllersOfOneNameSlowDown(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(route("web"), gateway("gw"))
		for _, accepted := range []metav1.ConditionStatus{"True", "False"} {
			a := newAuthor(t, server, true)
			a.statuses.Set(web, parents(accepted, "gw"))
			a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", accepted)}))
		}
		pass(time.Second)
		if n := server.written(); n < 8 {
			t.Errorf("%d writes of two objects in a second, want each to be written again", n)
		}
		pass(2 * time.Minute)
		before := server.written()
		pass(5 * time.Minute)
		if n := server.written() - before; n < 4 || n > 50 {
			t.Errorf("%d writes of two objects in 5 min, want one each half a minute and replica", n)
		}
	})
}

// Who does not lead writes nothing, and gives up what it was about to write.
func TestOnlyTheLeaderWrites(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"), route("web"))
		a := newAuthor(t, server, false)
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
		a.statuses.Set(web, parents("True", "gw"))
		pass(time.Minute)
		if n := server.written(); n != 0 {
			t.Errorf("%d writes without the lead", n)
		}
		release := server.stall("patch gateways/status")
		a.lead(true)
		pass(time.Second)
		a.lead(false)
		pass(time.Second)
		close(release)
		pass(time.Second)
		expect(t, "what was being written", server.said(gw), "")
		if n := server.written(); n != 2 {
			t.Errorf("%d writes, want one for each object", n)
		}
		a.statuses.Set(web, parents("False", "gw"))
		pass(time.Minute)
		if n := server.written(); n != 2 {
			t.Errorf("%d writes after the lead", n-2)
		}
		a.lead(true)
		pass(time.Second)
		expect(t, "Gateway", server.said(gw), "Accepted=True Accepted\n")
		expect(t, "route", server.said(web), "parent gw\n  Accepted=False Accepted\n")
	})
}

// What an earlier leader said of objects that are not Sluice's any more is taken
// back; what is not Sluice's own stays untouched.
func TestWhatAnEarlierLeaderSaidIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		foreign := route("foreign")
		foreign.Status.Parents = []gatewayv1.RouteParentStatus{parent("example.net/one", "first", "True")}
		theirs := gateway("theirs")
		theirs.Status.Conditions = []metav1.Condition{is("Accepted", "True")}
		server.put(route("web"), gateway("gw"), foreign, theirs)
		a := newAuthor(t, server, true)
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
		a.statuses.Set(web, parents("True", "gw"))
		pass(time.Second)
		a.stop()

		newAuthor(t, server, true)
		pass(time.Second)
		if n := server.written(); n != 2 {
			t.Errorf("%d writes before there was time to speak", n-2)
		}
		pass(time.Minute)
		expect(t, "Gateway", server.said(gw), "")
		expect(t, "route", server.said(web), "")
		expect(t, "foreign route", server.said(key(snapshot.KindHTTPRoute, "foreign")), "parent first\n  Accepted=True Accepted\n")
		expect(t, "foreign Gateway", server.said(key(snapshot.KindGateway, "theirs")), "Accepted=True Accepted\n")
		if n := server.written(); n != 4 {
			t.Errorf("%d writes, want two to write and two to take back", n)
		}
	})
}

// Objects that are gone are not written to, and nothing is said of that.
func TestObjectsThatAreGone(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(gateway("gw"))
		a := newAuthor(t, server, true)
		release := server.stall("patch gateways/status")
		a.statuses.Set(gw, gatewayStatus([]metav1.Condition{is("Accepted", "True")}))
		a.statuses.Set(web, parents("True", "gw"))
		pass(time.Second)
		server.remove(gw)
		close(release)
		pass(time.Minute)
		if n := server.written(); n != 1 || strings.Contains(a.log.String(), "WARN") {
			t.Errorf("%d writes, want 1\n%s", n, a.log.String())
		}
	})
}
