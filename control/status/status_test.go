package status_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/status"
)

const controller = "sluice.dev/gateway-controller"

func routeStatus(conditions ...metav1.Condition) status.Status {
	return status.Status{Route: &gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{{
		ParentRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: controller, Conditions: conditions,
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
