package translate

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// translateUnserved says of the objects whose kinds later versions will serve
// that they are valid and do nothing yet.
func (t *Translator) translateUnserved() {
	for _, key := range t.graph.take(stageUnserved) {
		u := unit{stageUnserved, key}
		r := t.reader()
		var s status.Status
		var found []diagnostic.Diagnostic
		if object := r.Object(key); object != nil {
			refs := parentRefs(object)
			s = t.unservedStatus(r, object, refs)
			if len(refs) == 0 || concerns(r, object, refs) {
				found = append(found, problem{message: notServed(key.Kind)}.finding(key, diagnostic.Error))
			}
		}
		t.graph.record(u, r.read)
		t.putStatus(key, s)
		t.putDiagnostics(u, found)
	}
}

func notServed(kind snapshot.Kind) string {
	return fmt.Sprintf("the %s is valid; this version of Sluice does not serve objects of this kind yet", kind)
}

// parentRefs are the parents of a route, or of a ListenerSet.
func parentRefs(object snapshot.Object) []gatewayv1.ParentReference {
	switch o := object.(type) {
	case *gatewayv1.GRPCRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.TLSRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.TCPRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.UDPRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.ListenerSet:
		ref := o.Spec.ParentRef
		return []gatewayv1.ParentReference{{Group: ref.Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}}
	}
	return nil
}

// ours reports whether the parent is a Gateway of ours.
func ours(r *reader, object snapshot.Object, ref gatewayv1.ParentReference) bool {
	return isGateway(ref) && r.binding(parentNamespace(object, ref), string(ref.Name)) != nil
}

// concerns reports whether a parent is a Gateway of ours, or none that exists.
func concerns(r *reader, object snapshot.Object, refs []gatewayv1.ParentReference) bool {
	for _, ref := range refs {
		if ours(r, object, ref) {
			return true
		}
		if isGateway(ref) && snapshot.Get[*gatewayv1.Gateway](r, parentNamespace(object, ref), string(ref.Name)) == nil {
			return true
		}
	}
	return false
}

func parentNamespace(object snapshot.Object, ref gatewayv1.ParentReference) string {
	if ref.Namespace != nil {
		return string(*ref.Namespace)
	}
	return object.GetNamespace()
}

// unservedStatus is a status for each parent of ours: it does not take the kind.
func (t *Translator) unservedStatus(r *reader, object snapshot.Object, refs []gatewayv1.ParentReference) status.Status {
	message := notServed(snapshot.KindOf(object))
	var parents []gatewayv1.RouteParentStatus
	for _, ref := range refs {
		if !ours(r, object, ref) {
			continue
		}
		if _, ok := object.(*gatewayv1.ListenerSet); ok {
			return status.Status{ListenerSet: &gatewayv1.ListenerSetStatus{Conditions: status.Observed(object.GetGeneration(),
				status.False(gatewayv1.ListenerSetConditionAccepted, gatewayv1.ListenerSetReasonNotAllowed, message),
				status.False(gatewayv1.ListenerSetConditionProgrammed, gatewayv1.ListenerSetReasonNotAllowed, message),
			)}}
		}
		parents = append(parents, gatewayv1.RouteParentStatus{
			ParentRef:      ref,
			ControllerName: t.options.ControllerName,
			Conditions: status.Observed(object.GetGeneration(),
				status.False(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners, message)),
		})
	}
	if parents == nil {
		return status.Status{}
	}
	return status.Status{Route: &gatewayv1.RouteStatus{Parents: parents}}
}
