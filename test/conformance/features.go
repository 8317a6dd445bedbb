package conformance

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// className is the GatewayClass that the suite tests.
const className = "sluice"

// profiles are what Sluice is held to, with every feature, core and extended.
var profiles = []suite.ConformanceProfile{suite.GatewayHTTPConformanceProfile, suite.GatewayGRPCConformanceProfile}

// served are the features of the profiles, and the extended ones of GRPCRoute, which
// GATEWAY-GRPC leaves out.
func served() sets.Set[features.FeatureName] {
	all := features.SetsToNamesSet(features.GRPCRouteExtendedFeatures)
	for _, p := range profiles {
		all = all.Union(p.CoreFeatures).Union(p.ExtendedFeatures)
	}
	return all
}

// servedAlone are those that make sense without a cluster: nothing is made for a
// Gateway there.
func servedAlone() sets.Set[features.FeatureName] {
	return served().Delete(features.SupportGatewayInfrastructure)
}

func profileNames() (names []suite.ConformanceProfileName) {
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	return names
}

// mustSay holds that the status of the GatewayClass names the features that are
// tested, and no other.
func mustSay(t *testing.T, c client.Client, want sets.Set[features.FeatureName]) {
	t.Helper()
	var class gatewayv1.GatewayClass
	if err := c.Get(t.Context(), client.ObjectKey{Name: className}, &class); err != nil {
		t.Fatal(err)
	}
	said := sets.New[features.FeatureName]()
	for _, f := range class.Status.SupportedFeatures {
		said.Insert(features.FeatureName(f.Name))
	}
	for _, f := range sets.List(want.Difference(said)) {
		t.Errorf("the status of the GatewayClass does not name %s", f)
	}
	for _, f := range sets.List(said.Difference(want)) {
		t.Errorf("the status of the GatewayClass names %s, which is not tested", f)
	}
}
