package status_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

const controller = "sluice.dev/gateway-controller"

func routeStatus(conditions ...metav1.Condition) status.Status {
	return status.Status{Route: &gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{{
		ParentRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: controller, Conditions: conditions,
	}}}}
}

func policyStatus(conditions ...metav1.Condition) status.Status {
	return status.Status{Policy: &gatewayv1.PolicyStatus{Ancestors: []gatewayv1.PolicyAncestorStatus{{
		AncestorRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: controller, Conditions: conditions,
	}}}}
}

// Condition.lastTransitionTime is the last time that the status changed; a
// change of reason or message is none.
func TestStampKeepsTheTimeOfWhatStays(t *testing.T) {
	first, later := time.Unix(100, 5), time.Unix(200, 0)
	before := status.Stamp(status.Status{}, routeStatus(
		status.True("Accepted", "Accepted", ""),
		status.True("ResolvedRefs", "ResolvedRefs", ""),
	), first)

	next := routeStatus(
		status.True("Accepted", "Accepted", "another message"),
		status.False("ResolvedRefs", "BackendNotFound", ""),
		status.True("PartiallyInvalid", "UnsupportedValue", ""),
	)
	after := status.Stamp(before, next, later)

	want := map[string]time.Time{"Accepted": time.Unix(100, 0), "ResolvedRefs": later, "PartiallyInvalid": later}
	for _, c := range after.Route.Parents[0].Conditions {
		if !c.LastTransitionTime.Time.Equal(want[c.Type]) {
			t.Errorf("%s since %v, want %v", c.Type, c.LastTransitionTime, want[c.Type])
		}
	}
	if !next.Route.Parents[0].Conditions[0].LastTransitionTime.IsZero() {
		t.Error("Stamp has changed its argument")
	}
}

func TestStampTellsListenersApart(t *testing.T) {
	gateway := func(one, two metav1.Condition) status.Status {
		return status.Status{Gateway: &gatewayv1.GatewayStatus{Listeners: []gatewayv1.ListenerStatus{
			{Name: "one", Conditions: []metav1.Condition{one}},
			{Name: "two", Conditions: []metav1.Condition{two}},
		}}}
	}
	yes, no := status.True("Programmed", "Programmed", ""), status.False("Programmed", "Pending", "")
	before := status.Stamp(status.Status{}, gateway(yes, no), time.Unix(100, 0))
	after := status.Stamp(before, gateway(yes, yes), time.Unix(200, 0))
	if got := after.Gateway.Listeners[0].Conditions[0].LastTransitionTime.Unix(); got != 100 {
		t.Errorf("listener one changed at %d, want 100", got)
	}
	if got := after.Gateway.Listeners[1].Conditions[0].LastTransitionTime.Unix(); got != 200 {
		t.Errorf("listener two changed at %d, want 200", got)
	}
}

// HTTPRoute.status.parents: "Implementations MUST update only entries that have
// a matching value of controllerName".
func TestOnLeavesOtherControllersAlone(t *testing.T) {
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	route.Status.Parents = []gatewayv1.RouteParentStatus{
		{ParentRef: gatewayv1.ParentReference{Name: "theirs"}, ControllerName: "example.net/controller"},
		{ParentRef: gatewayv1.ParentReference{Name: "old"}, ControllerName: controller},
	}
	got := status.On(route, routeStatus(status.True("Accepted", "Accepted", "")), controller).(*gatewayv1.HTTPRoute)
	var parents []string
	for _, p := range got.Status.Parents {
		parents = append(parents, string(p.ParentRef.Name))
	}
	if len(parents) != 2 || parents[0] != "theirs" || parents[1] != "gw" {
		t.Errorf("parents %v, want those of others and the new one", parents)
	}
	if route.Status.Parents[1].ParentRef.Name != "old" {
		t.Error("On has changed the object")
	}
}

// PolicyStatus.ancestors: entries of other controllers stay, and there are 16 at
// most: "If this slice is full, implementations MUST NOT add further entries".
func TestOnFillsAncestorsUpToTheLimit(t *testing.T) {
	policy := &gatewayv1.BackendTLSPolicy{}
	policy.Status.Ancestors = []gatewayv1.PolicyAncestorStatus{
		{AncestorRef: gatewayv1.ParentReference{Name: "theirs"}, ControllerName: "example.net/controller"},
		{AncestorRef: gatewayv1.ParentReference{Name: "old"}, ControllerName: controller},
	}
	next := policyStatus(status.True("Accepted", "Accepted", ""))
	for range 20 {
		next.Policy.Ancestors = append(next.Policy.Ancestors, next.Policy.Ancestors[0])
	}
	got := status.On(policy, next, controller).(*gatewayv1.BackendTLSPolicy).Status.Ancestors
	if len(got) != 16 || got[0].AncestorRef.Name != "theirs" || got[1].AncestorRef.Name != "gw" {
		t.Errorf("%d ancestors, the first %v and %v; want those of others first, and 16", len(got), got[0].AncestorRef.Name, got[1].AncestorRef.Name)
	}
}

// Each kind with a status that Sluice writes carries it, and Of reads it back.
func TestOnAndOfAreInverse(t *testing.T) {
	accepted := []metav1.Condition{status.True("Accepted", "Accepted", "")}
	route := routeStatus(accepted...)
	tests := []struct {
		object snapshot.Object
		status status.Status
	}{
		{&gatewayv1.GatewayClass{}, status.Status{GatewayClass: &gatewayv1.GatewayClassStatus{Conditions: accepted}}},
		{&gatewayv1.Gateway{}, status.Status{Gateway: &gatewayv1.GatewayStatus{Conditions: accepted}}},
		{&gatewayv1.ListenerSet{}, status.Status{ListenerSet: &gatewayv1.ListenerSetStatus{Conditions: accepted}}},
		{&v1alpha1.Backend{}, status.Status{Backend: &v1alpha1.BackendStatus{Conditions: accepted}}},
		{&gatewayv1.HTTPRoute{}, route},
		{&gatewayv1.GRPCRoute{}, route},
		{&gatewayv1.TLSRoute{}, route},
		{&gatewayv1.TCPRoute{}, route},
		{&gatewayv1.UDPRoute{}, route},
		{&gatewayv1.BackendTLSPolicy{}, policyStatus(accepted...)},
		{&v1alpha1.ClientPolicy{}, policyStatus(accepted...)},
	}
	for _, test := range tests {
		stamped := status.Stamp(status.Status{}, test.status, time.Unix(100, 0))
		got := status.Of(status.On(test.object, stamped, controller))
		if diff := cmp.Diff(stamped, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", test.object, diff)
		}
		if again := status.Stamp(got, test.status, time.Unix(200, 0)); !again.Equal(stamped) {
			t.Errorf("%T: a status that stays has got another time", test.object)
		}
	}
	if s := status.Of(&corev1.Service{}); !s.Empty() {
		t.Errorf("a Service has the status %v", s)
	}
}

// An API server takes messages of 32768 bytes at most.
func TestLongMessage(t *testing.T) {
	c := status.False("Accepted", "Invalid", strings.Repeat("…", 20000))
	if len(c.Message) > 32768 || !utf8.ValidString(c.Message) {
		t.Errorf("a message of %d bytes, valid UTF-8: %v", len(c.Message), utf8.ValidString(c.Message))
	}
}
