package translate

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/semver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	features.SupportGatewayHTTPSListenerDetectMisdirectedRequests,
	features.SupportGatewayFrontendClientCertificateValidation,
	features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
	features.SupportGatewayBackendClientCertificate,
	features.SupportBackendTLSPolicy,
	features.SupportBackendTLSPolicySANValidation,
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
	features.SupportHTTPRouteBackendProtocolH2C,
	features.SupportHTTPRouteNamedRouteRule,
	features.SupportHTTPRouteCORS,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
	features.SupportHTTPRouteRetry,
	features.SupportHTTPRouteRetryBackendTimeout,
	features.SupportHTTPRouteRetryConnectionError,

	features.SupportGRPCRoute,
	features.SupportGRPCRouteNamedRouteRule,
}

// supportedFeatures is status.supportedFeatures, which the API wants sorted.
var supportedFeatures = sortedFeatures(supported)

// supportedInCluster are those and what is about objects that are made for Gateways.
var supportedInCluster = sortedFeatures(append(slices.Clone(supported), features.SupportGatewayInfrastructure))

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
		r := t.reader()
		class := snapshot.Get[*gatewayv1.GatewayClass](r, "", key.Name)
		var s status.Status
		var found []diagnostic.Diagnostic
		switch {
		case class == nil:
		case class.Spec.ControllerName == t.options.ControllerName:
			_, problems := classParameters(r, class)
			s.GatewayClass = t.classStatus(r, class, problems)
			found = findings(key, problems)
		default:
			found = append(found, t.classOfAnother(key, class))
		}
		t.graph.record(unit{stageClass, key}, r.read)
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

func (t *Translator) classStatus(r *reader, class *gatewayv1.GatewayClass, problems []problem) *gatewayv1.GatewayClassStatus {
	accepted := status.True(gatewayv1.GatewayClassConditionStatusAccepted, gatewayv1.GatewayClassReasonAccepted, "Sluice serves the Gateways of this class")
	if len(problems) > 0 {
		accepted = failed(gatewayv1.GatewayClassConditionStatusAccepted, problems)
	}
	features := supportedFeatures
	if t.shared() {
		features = supportedInCluster
	}
	return &gatewayv1.GatewayClassStatus{
		Conditions:        status.Observed(class.Generation, accepted, supportedVersion(r)),
		SupportedFeatures: features,
	}
}

// supportedVersion compares the release of the Gateway API's definitions, where
// they are known, with the one that Sluice is built for.
func supportedVersion(r *reader) metav1.Condition {
	const condition = gatewayv1.GatewayClassConditionStatusSupportedVersion
	installed := consts.BundleVersion
	definition := snapshot.Get[*metav1.PartialObjectMetadata](r, "", "gatewayclasses."+gatewayv1.GroupName)
	if definition != nil {
		installed = definition.Annotations[consts.BundleVersionAnnotation]
	}
	if semver.MajorMinor(installed) == semver.MajorMinor(consts.BundleVersion) {
		return status.True(condition, gatewayv1.GatewayClassReasonSupportedVersion, "Gateway API "+installed)
	}
	return status.False(condition, gatewayv1.GatewayClassReasonUnsupportedVersion, fmt.Sprintf(
		"the definitions of the Gateway API are of release %q and Sluice is built for %s: what only one of them knows is not served; install those of %s",
		installed, consts.BundleVersion, semver.MajorMinor(consts.BundleVersion)))
}

// groupKind is "Service" or "Bucket.storage.example".
func groupKind(group gatewayv1.Group, kind gatewayv1.Kind) string {
	if group == "" {
		return string(kind)
	}
	return fmt.Sprintf("%s.%s", kind, group)
}
