package translate

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

func (t *Translator) markGrant(key snapshot.Key) { t.graph.mark(unit{stageGrant, key}) }

// grantsOf are the grants that the certificates of listeners lean on.
func grantsOf(listeners []listener) []snapshot.Key {
	var all []snapshot.Key
	for i := range listeners {
		all = append(all, listeners[i].grants...)
	}
	return all
}

// notGranted says which ReferenceGrant a reference across namespaces needs.
func notGranted(field string, from attach.From, to attach.To) problem {
	return problem{
		reason:  string(gatewayv1.RouteReasonRefNotPermitted),
		field:   field,
		message: fmt.Sprintf("no ReferenceGrant in namespace %s allows %ss of namespace %s to refer to %s %s", to.Namespace, from.Kind, from.Namespace, to.Kind, to.Name),
		fix:     fmt.Sprintf("create a ReferenceGrant in namespace %s from %s of namespace %s to %s", to.Namespace, from.Kind, from.Namespace, to.Kind),
	}
}

// reviewGrants finds the ReferenceGrants that nobody leans on.
func (t *Translator) reviewGrants() {
	for _, key := range t.graph.take(stageGrant) {
		var found []diagnostic.Diagnostic
		grant := snapshot.Get[*gatewayv1.ReferenceGrant](t.snapshot, key.Namespace, key.Name)
		if grant != nil && t.granted[key] == 0 && onlyServed(grant) {
			found = append(found, problem{
				message: "nothing uses this ReferenceGrant",
				fix:     "remove it, or correct its from and to",
			}.finding(key, diagnostic.Warning))
		}
		t.putDiagnostics(unit{stageGrant, key}, found)
	}
}

// onlyServed reports whether the grant is for kinds that are served only. Of
// others nothing is said, for who would use them is not served yet.
func onlyServed(grant *gatewayv1.ReferenceGrant) bool {
	for _, from := range grant.Spec.From {
		switch snapshot.Kind(from.Kind) {
		case snapshot.KindHTTPRoute, snapshot.KindGRPCRoute, snapshot.KindGateway, snapshot.KindListenerSet:
		default:
			return false
		}
		if from.Group != gatewayv1.GroupName {
			return false
		}
	}
	return true
}
