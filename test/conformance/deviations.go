package conformance

import "sigs.k8s.io/gateway-api/conformance/tests"

// outcome is how a test ended, in the words of package testing.
type outcome string

const (
	pass outcome = "PASS"
	fail outcome = "FAIL"
	skip outcome = "SKIP"
)

// deviation is why tests of the suite do not pass.
type deviation struct {
	reason  string
	outcome outcome
	tests   []string
}

// wantOutcomes is how each test of the suite should end, by its name.
func wantOutcomes() map[string]outcome {
	want := map[string]outcome{}
	for _, test := range tests.ConformanceTests {
		want[test.ShortName] = pass
	}
	for _, d := range deviations {
		for _, test := range d.tests {
			want[test] = d.outcome
		}
	}
	return want
}

// deviations are all tests that do not pass. docs/conformance.md shows them too.
var deviations = []deviation{
	{"needs TLSRoute, which this version does not serve", skip, []string{
		"HTTPRouteDisallowedKind",
		"ListenerSetAllowedRoutesSupportedKinds",
		"TLSRouteHostnameIntersection",
		"TLSRouteInvalidBackendRefNonexistent",
		"TLSRouteInvalidBackendRefUnknownKind",
		"TLSRouteInvalidNoMatchingListener",
		"TLSRouteInvalidNoMatchingListenerHostname",
		"TLSRouteInvalidReferenceGrant",
		"TLSRouteListenerMixedTerminationNotSupported",
		"TLSRouteListenerPassthroughSupportedKinds",
		"TLSRouteListenerTerminateNotSupported",
		"TLSRouteListenerTerminateSupportedKinds",
		"TLSRouteMixedTerminationSameNamespace",
		"TLSRouteSimpleSameNamespace",
		"TLSRouteTerminateSimpleSameNamespace",
	}},
	{"needs TCPRoute, which this version does not serve", skip, []string{
		"TCPRouteInvalidBackendRefNonexistent",
		"TCPRouteInvalidCrossNamespaceBackendRef",
		"TCPRouteInvalidNonTCPListener",
		"TCPRouteMultipleRoutesAttachment",
		"TCPRouteParentRefAttachAll",
		"TCPRouteParentRefPortAndSectionName",
		"TCPRouteReferenceGrant",
		"TCPRouteWeightedRouting",
	}},
	{"needs UDPRoute, which this version does not serve", skip, []string{
		"UDPRoute",
		"UDPRouteInvalidBackendRefNonexistent",
		"UDPRouteInvalidCrossNamespaceBackendRef",
		"UDPRouteMultipleRoutesAttachment",
		"UDPRouteNotAllowedByListeners",
		"UDPRouteParentRefAttachAllListeners",
		"UDPRouteParentRefPortAndSectionName",
		"UDPRouteReferenceGrant",
		"UDPRouteWeightedRouting",
	}},
	{"is about objects that are made for a Gateway in a cluster", skip, []string{
		"GatewayInfrastructureMetadata",
		"GatewayInvalidParametersRef",
	}},
	{"is about a mesh; Sluice is a gateway", skip, []string{
		"MeshBasic",
		"MeshConsumerRoute",
		"MeshFrontend",
		"MeshFrontendHostname",
		"MeshGRPCRouteWeight",
		"MeshHTTPRoute303Redirect",
		"MeshHTTPRoute307Redirect",
		"MeshHTTPRoute308Redirect",
		"MeshHTTPRouteBackendRequestHeaderModifier",
		"MeshHTTPRouteMatching",
		"MeshHTTPRouteNamedRule",
		"MeshHTTPRouteQueryParamMatching",
		"MeshHTTPRouteRedirectHostAndStatus",
		"MeshHTTPRouteRedirectPath",
		"MeshHTTPRouteRedirectPort",
		"MeshHTTPRouteRequestHeaderModifier",
		"MeshHTTPRouteRewritePath",
		"MeshHTTPRouteSchemeRedirect",
		"MeshHTTPRouteSimpleSameNamespace",
		"MeshHTTPRouteWeight",
		"MeshPorts",
		"MeshTrafficSplit",
	}},
}
