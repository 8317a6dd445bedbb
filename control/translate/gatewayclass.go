package translate

import (
	"cmp"
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// supported are the features of the specification that this version serves.
// Only what works stands here.
var supported = []features.FeatureName{
	features.SupportGateway,
	features.SupportGatewayPort8080,
	features.SupportGatewayStaticAddresses,
	features.SupportGatewayAddressEmpty,
	features.SupportGatewayHTTPListenerIsolation,
	features.SupportReferenceGrant,
	features.SupportListenerSet,

	features.SupportHTTPRoute,
	features.SupportHTTPRouteBackendRequestHeaderModification,
	features.SupportHTTPRouteQueryParamMatching,
	features.SupportHTTPRouteMethodMatching,
	features.SupportHTTPRouteResponseHeaderModification,
	features.SupportHTTPRoutePortRedirect,
	features.SupportHTTPRouteSchemeRedirect,
	features.SupportHTTPRoutePathRedirect,
	features.SupportHTTPRouteHostRewrite,
	features.SupportHTTPRoutePathRewrite,
	features.SupportHTTPRouteRequestMirror,
	features.SupportHTTPRouteRequestMultipleMirrors,
	features.SupportHTTPRouteRequestPercentageMirror,
	features.SupportHTTPRouteRequestTimeout,
	features.SupportHTTPRouteBackendTimeout,
	features.SupportHTTPRouteParentRefPort,
	features.SupportHTTPRouteDestinationPortMatching,
	features.SupportHTTPRouteBackendProtocolWebSocket,
	features.SupportHTTPRouteNamedRouteRule,
	features.SupportHTTPRouteCORS,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
	features.SupportHTTPRouteRetry,
	features.SupportHTTPRouteRetryBackendTimeout,
	features.SupportHTTPRouteRetryConnectionError,
}

// supportedFeatures is status.supportedFeatures, which the API wants sorted.
var supportedFeatures = sortedFeatures(supported)

func sortedFeatures(names []features.FeatureName) []gatewayv1.SupportedFeature {
	var sorted []gatewayv1.SupportedFeature
	for _, name := range names {
		sorted = append(sorted, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(name)})
	}
	slices.SortFunc(sorted, func(a, b gatewayv1.SupportedFeature) int { return cmp.Compare(a.Name, b.Name) })
	return sorted
}

// translateClasses says of each GatewayClass of ours whether it is accepted.
// Those of other controllers are left alone.
func (t *Translator) translateClasses() {
	for _, key := range t.graph.take(stageClass) {
		class := snapshot.Get[*gatewayv1.GatewayClass](t.snapshot, "", key.Name)
		var s status.Status
		var found []diagnostic.Diagnostic
		switch {
		case class == nil:
		case class.Spec.ControllerName == t.options.ControllerName:
			problems := checkClass(class)
			s.GatewayClass = classStatus(class, problems)
			found = findings(key, problems)
		default:
			found = append(found, t.classOfAnother(key, class))
		}
		t.putStatus(key, s)
		t.putDiagnostics(unit{stageClass, key}, found)
	}
}

// classOfAnother tells who meant the class for Sluice why it has no status.
func (t *Translator) classOfAnother(key snapshot.Key, class *gatewayv1.GatewayClass) diagnostic.Diagnostic {
	return problem{
		field:   "spec.controllerName",
		message: fmt.Sprintf("the class belongs to controller %s; Sluice leaves it and its Gateways alone", class.Spec.ControllerName),
		fix:     fmt.Sprintf("write controllerName: %s if Sluice is to serve them", t.options.ControllerName),
	}.finding(key, diagnostic.Info)
}

func classStatus(class *gatewayv1.GatewayClass, problems []problem) *gatewayv1.GatewayClassStatus {
	accepted := status.True(gatewayv1.GatewayClassConditionStatusAccepted, gatewayv1.GatewayClassReasonAccepted, "Sluice serves the Gateways of this class")
	if len(problems) > 0 {
		accepted = failed(gatewayv1.GatewayClassConditionStatusAccepted, problems)
	}
	version := status.True(gatewayv1.GatewayClassConditionStatusSupportedVersion, gatewayv1.GatewayClassReasonSupportedVersion, "Gateway API "+consts.BundleVersion)
	return &gatewayv1.GatewayClassStatus{
		Conditions:        status.Observed(class.Generation, accepted, version),
		SupportedFeatures: supportedFeatures,
	}
}

func checkClass(class *gatewayv1.GatewayClass) []problem {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return nil
	}
	return []problem{{
		reason:  string(gatewayv1.GatewayClassReasonInvalidParameters),
		field:   "spec.parametersRef",
		message: fmt.Sprintf("Sluice has no parameters of kind %s", groupKind(ref.Group, ref.Kind)),
		fix:     "remove parametersRef",
	}}
}

// groupKind is "Service" or "Bucket.storage.example".
func groupKind(group gatewayv1.Group, kind gatewayv1.Kind) string {
	if group == "" {
		return string(kind)
	}
	return fmt.Sprintf("%s.%s", kind, group)
}
