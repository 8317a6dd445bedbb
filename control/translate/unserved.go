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
	t.settle(stageUnserved, func(r *reader, object snapshot.Object) (status.Status, []diagnostic.Diagnostic) {
		key, refs := snapshot.KeyOf(object), parentRefs(object)
		var found []diagnostic.Diagnostic
		if len(refs) == 0 || concerns(r, object, refs) {
			found = append(found, problem{message: notServed(key.Kind)}.finding(key, diagnostic.Error))
		}
		return t.unservedStatus(r, object, refs), found
	})
}

func notServed(kind snapshot.Kind) string {
	return fmt.Sprintf("the %s is valid; this version of Sluice does not serve objects of this kind yet", kind)
}

// parentRefs are the parents of a route.
func parentRefs(object snapshot.Object) []gatewayv1.ParentReference {
	switch o := object.(type) {
	case *gatewayv1.TLSRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.TCPRoute:
		return o.Spec.ParentRefs
	case *gatewayv1.UDPRoute:
		return o.Spec.ParentRefs
	}
	return nil
}

// parentKey is the Gateway or ListenerSet that the reference names, if it is to
// one of these.
func parentKey(object snapshot.Object, ref gatewayv1.ParentReference) (snapshot.Key, bool) {
	key := snapshot.Key{Kind: snapshot.KindGateway, Namespace: object.GetNamespace(), Name: string(ref.Name)}
	if ref.Kind != nil {
		key.Kind = snapshot.Kind(*ref.Kind)
	}
	if ref.Namespace != nil {
		key.Namespace = string(*ref.Namespace)
	}
	known := key.Kind == snapshot.KindGateway || key.Kind == snapshot.KindListenerSet
	return key, known && (ref.Group == nil || *ref.Group == gatewayv1.GroupName)
}

// ours reports whether the parent is a Gateway or ListenerSet of ours.
func ours(r *reader, object snapshot.Object, ref gatewayv1.ParentReference) bool {
	parent, ok := parentKey(object, ref)
	return ok && r.binding(parent) != nil
}

// concerns reports whether a parent is one of ours, or none that exists.
func concerns(r *reader, object snapshot.Object, refs []gatewayv1.ParentReference) bool {
	for _, ref := range refs {
		if parent, ok := parentKey(object, ref); ok && (r.binding(parent) != nil || r.Object(parent) == nil) {
			return true
		}
	}
	return false
}

// unservedStatus is a status for each parent of ours: it does not take the kind.
func (t *Translator) unservedStatus(r *reader, object snapshot.Object, refs []gatewayv1.ParentReference) status.Status {
	message := notServed(snapshot.KindOf(object))
	var parents []gatewayv1.RouteParentStatus
	for _, ref := range refs {
		if !ours(r, object, ref) {
			continue
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
