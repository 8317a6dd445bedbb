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
		object := r.Object(key)
		var s status.Status
		var found []diagnostic.Diagnostic
		if object != nil {
			s = t.unservedStatus(r, object)
			found = append(found, problem{message: notServed(key.Kind)}.finding(key, diagnostic.Warning))
		}
		t.graph.record(u, r.read)
		t.putStatus(key, s)
		t.putDiagnostics(u, found)
	}
}

func notServed(kind snapshot.Kind) string {
	return fmt.Sprintf("the %s is valid; this version of Sluice does not serve objects of this kind yet", kind)
}

func (t *Translator) unservedStatus(r *reader, object snapshot.Object) status.Status {
	switch o := object.(type) {
	case *gatewayv1.GRPCRoute:
		return t.unservedRoute(r, object, o.Spec.ParentRefs)
	case *gatewayv1.TLSRoute:
		return t.unservedRoute(r, object, o.Spec.ParentRefs)
	case *gatewayv1.TCPRoute:
		return t.unservedRoute(r, object, o.Spec.ParentRefs)
	case *gatewayv1.UDPRoute:
		return t.unservedRoute(r, object, o.Spec.ParentRefs)
	case *gatewayv1.ListenerSet:
		return t.unservedListenerSet(r, o)
	}
	return status.Status{}
}

// unservedRoute is a status for each parent that is a Gateway of ours: its
// listeners do not take the kind.
func (t *Translator) unservedRoute(r *reader, object snapshot.Object, refs []gatewayv1.ParentReference) status.Status {
	var parents []gatewayv1.RouteParentStatus
	for _, ref := range refs {
		if !isGateway(ref) || r.binding(parentNamespace(object, ref.Namespace), string(ref.Name)) == nil {
			continue
		}
		parents = append(parents, gatewayv1.RouteParentStatus{
			ParentRef:      ref,
			ControllerName: t.options.ControllerName,
			Conditions: status.Observed(object.GetGeneration(),
				status.False(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners, notServed(snapshot.KindOf(object)))),
		})
	}
	if parents == nil {
		return status.Status{}
	}
	return status.Status{Route: &gatewayv1.RouteStatus{Parents: parents}}
}

func parentNamespace(object snapshot.Object, namespace *gatewayv1.Namespace) string {
	if namespace != nil {
		return string(*namespace)
	}
	return object.GetNamespace()
}

func (t *Translator) unservedListenerSet(r *reader, object *gatewayv1.ListenerSet) status.Status {
	ref := object.Spec.ParentRef
	if r.binding(parentNamespace(object, ref.Namespace), string(ref.Name)) == nil {
		return status.Status{}
	}
	message := notServed(snapshot.KindListenerSet)
	return status.Status{ListenerSet: &gatewayv1.ListenerSetStatus{Conditions: status.Observed(object.Generation,
		status.False(gatewayv1.ListenerSetConditionAccepted, gatewayv1.ListenerSetReasonNotAllowed, message),
		status.False(gatewayv1.ListenerSetConditionProgrammed, gatewayv1.ListenerSetReasonNotAllowed, message),
	)}}
}
