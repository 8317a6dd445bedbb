package attach_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/attach"
)

// HTTPRoute.spec.parentRefs and Gateway.spec.listeners[].allowedRoutes: which
// reason is given depends on how far the route came.
func TestBindReasons(t *testing.T) {
	gateway := &attach.Parent{Kind: "Gateway", Namespace: "infra", Name: "gw", Listeners: []attach.Listener{
		{Name: "own", Port: 80, Kinds: []gatewayv1.Kind{"HTTPRoute"}, From: gatewayv1.NamespacesFromSame},
		{Name: "all", Port: 81, Hostname: "*.example", Kinds: []gatewayv1.Kind{"HTTPRoute"}, From: gatewayv1.NamespacesFromAll},
		{Name: "red", Port: 82, Kinds: []gatewayv1.Kind{"HTTPRoute"}, From: gatewayv1.NamespacesFromSelector, Selector: labels.SelectorFromSet(labels.Set{"team": "red"})},
		{Name: "broken", Port: 83, Kinds: []gatewayv1.Kind{"HTTPRoute"}, From: gatewayv1.NamespacesFromSelector},
		{Name: "grpc", Port: 84, Kinds: []gatewayv1.Kind{"GRPCRoute"}, From: gatewayv1.NamespacesFromAll},
	}}
	section := func(name string) gatewayv1.ParentReference {
		return gatewayv1.ParentReference{Name: "gw", SectionName: new(gatewayv1.SectionName(name))}
	}
	tests := []struct {
		name      string
		ref       gatewayv1.ParentReference
		hostnames []string
		team      string
		want      gatewayv1.RouteConditionReason
	}{
		{name: "no such section", ref: section("none"), want: gatewayv1.RouteReasonNoMatchingParent},
		{name: "no such port", ref: gatewayv1.ParentReference{Port: new(gatewayv1.PortNumber(8080))}, want: gatewayv1.RouteReasonNoMatchingParent},
		{name: "another namespace", ref: section("own"), want: gatewayv1.RouteReasonNotAllowedByListeners},
		{name: "another kind", ref: section("grpc"), want: gatewayv1.RouteReasonNotAllowedByListeners},
		{name: "selected", ref: section("red"), team: "red"},
		{name: "not selected", ref: section("red"), team: "blue", want: gatewayv1.RouteReasonNotAllowedByListeners},
		{name: "no valid selector", ref: section("broken"), want: gatewayv1.RouteReasonNotAllowedByListeners},
		{name: "allowed, no hostname", ref: section("all"), hostnames: []string{"a.net"}, want: gatewayv1.RouteReasonNoMatchingListenerHostname},
		{name: "allowed", ref: section("all"), hostnames: []string{"a.example"}},
		{name: "the whole Gateway", ref: gatewayv1.ParentReference{Name: "gw"}, hostnames: []string{"a.example"}},
		{name: "an empty section is none", ref: section("")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			route := attach.Route{Kind: "HTTPRoute", Namespace: "shop", Hostnames: test.hostnames}
			binding := attach.Bind(route, test.ref, gateway, func() labels.Set { return labels.Set{"team": test.team} })
			if binding.Reason != test.want {
				t.Errorf("reason %q (%s), want %q", binding.Reason, binding.Message, test.want)
			}
			if (binding.Reason == "") != (len(binding.Attachments) > 0) {
				t.Errorf("reason %q with %d attachments", binding.Reason, len(binding.Attachments))
			}
		})
	}
}
