package translate

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

func (t *Translator) markGrant(key snapshot.Key) { t.graph.mark(unit{stageGrant, key}) }

// reviewGrants finds the ReferenceGrants that no route leans on.
func (t *Translator) reviewGrants() {
	for _, key := range t.graph.take(stageGrant) {
		var found []diagnostic.Diagnostic
		grant := snapshot.Get[*gatewayv1.ReferenceGrant](t.snapshot, key.Namespace, key.Name)
		if grant != nil && t.granted[key] == 0 && onlyHTTPRoutes(grant) {
			found = append(found, problem{
				message: "nothing uses this ReferenceGrant",
				fix:     "remove it, or correct its from and to",
			}.finding(key, diagnostic.Warning))
		}
		t.putDiagnostics(unit{stageGrant, key}, found)
	}
}

// onlyHTTPRoutes reports whether the grant is for HTTPRoutes only. Of others
// nothing is said, for who would use them is not served yet.
func onlyHTTPRoutes(grant *gatewayv1.ReferenceGrant) bool {
	for _, from := range grant.Spec.From {
		if from.Group != gatewayv1.GroupName || from.Kind != httpRouteKind.Kind {
			return false
		}
	}
	return true
}
