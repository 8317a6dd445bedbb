package status

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Of reads the status that an object carries.
func Of(object snapshot.Object) Status {
	switch o := object.(type) {
	case *gatewayv1.GatewayClass:
		return Status{GatewayClass: &o.Status}
	case *gatewayv1.Gateway:
		return Status{Gateway: &o.Status}
	case *gatewayv1.ListenerSet:
		return Status{ListenerSet: &o.Status}
	case *v1alpha1.Backend:
		return Status{Backend: &o.Status}
	}
	if route := routeStatus(object); route != nil {
		return Status{Route: route}
	}
	if policy := policyStatus(object); policy != nil {
		return Status{Policy: policy}
	}
	return Status{}
}

func routeStatus(object snapshot.Object) *gatewayv1.RouteStatus {
	switch o := object.(type) {
	case *gatewayv1.HTTPRoute:
		return &o.Status.RouteStatus
	case *gatewayv1.GRPCRoute:
		return &o.Status.RouteStatus
	case *gatewayv1.TLSRoute:
		return &o.Status.RouteStatus
	case *gatewayv1.TCPRoute:
		return &o.Status.RouteStatus
	case *gatewayv1.UDPRoute:
		return &o.Status.RouteStatus
	}
	return nil
}

func policyStatus(object snapshot.Object) *gatewayv1.PolicyStatus {
	switch o := object.(type) {
	case *gatewayv1.BackendTLSPolicy:
		return &o.Status
	case *v1alpha1.ClientPolicy:
		return &o.Status
	}
	return nil
}

// maxAncestors is the most that the status of a policy takes.
const maxAncestors = 16

// On returns a copy of the object that carries the status. What other
// controllers say of a route or a policy stays, as the API demands of those who
// write a status.
func On(object snapshot.Object, s Status, controller gatewayv1.GatewayController) snapshot.Object {
	fresh := object.DeepCopyObject().(snapshot.Object)
	old := Of(fresh)
	s = s.copy()
	switch {
	case s.GatewayClass != nil && old.GatewayClass != nil:
		*old.GatewayClass = *s.GatewayClass
	case s.Gateway != nil && old.Gateway != nil:
		*old.Gateway = *s.Gateway
	case s.ListenerSet != nil && old.ListenerSet != nil:
		*old.ListenerSet = *s.ListenerSet
	case s.Backend != nil && old.Backend != nil:
		*old.Backend = *s.Backend
	case s.Route != nil && old.Route != nil:
		old.Route.Parents = append(othersParents(old.Route.Parents, controller), s.Route.Parents...)
	case s.Policy != nil && old.Policy != nil:
		all := append(othersAncestors(old.Policy.Ancestors, controller), s.Policy.Ancestors...)
		old.Policy.Ancestors = all[:min(len(all), maxAncestors)]
	}
	return fresh
}

func othersParents(all []gatewayv1.RouteParentStatus, controller gatewayv1.GatewayController) []gatewayv1.RouteParentStatus {
	var others []gatewayv1.RouteParentStatus
	for _, p := range all {
		if p.ControllerName != controller {
			others = append(others, p)
		}
	}
	return others
}

func othersAncestors(all []gatewayv1.PolicyAncestorStatus, controller gatewayv1.GatewayController) []gatewayv1.PolicyAncestorStatus {
	var others []gatewayv1.PolicyAncestorStatus
	for _, a := range all {
		if a.ControllerName != controller {
			others = append(others, a)
		}
	}
	return others
}
