package conformance

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

var (
	inCluster  = flag.Bool("in-cluster", false, "run the suite in this process, in the cluster of KUBECONFIG")
	reportFile = flag.String("report", "conformance-report.yaml", "where the report of the run in a cluster goes")
)

// TestKubernetes runs the official suite, as it is, in the cluster of KUBECONFIG,
// where Sluice is installed and serves the GatewayClass sluice. Each test that is
// about the features of the profiles passes; no other is run.
//
// The suite's own flags are those of the test binary, such as -run-test for one
// test alone. GatewayStaticAddresses needs -usable-address, one that the load
// balancer gives on demand, and -unusable-address, one that it never does; the
// cluster of test/cluster says them in the environment.
func TestKubernetes(t *testing.T) {
	if *inCluster || os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG names no cluster, or this process runs the suite alone")
	}
	file, err := filepath.Abs(*reportFile)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, runInCluster(t, file), wantInCluster())
	checkReport(t, file)
}

// fixed are the flags that change what the suite demands. Nobody may set them.
var fixed = []string{
	"timeout-config-overrides", "skip-tests", "exempt-features", "supported-features", "all-features",
	"skip-provisional-tests", "allow-crds-mismatch", "conformance-options-file",
}

func runInCluster(t *testing.T, file string) report {
	args := []string{"-in-cluster", "-report=" + file, "-test.timeout=40m"}
	flag.Visit(func(f *flag.Flag) {
		switch {
		case slices.Contains(fixed, f.Name):
			t.Fatalf("-%s would make it another suite", f.Name)
		case f.Name != "report" && !strings.HasPrefix(f.Name, "test."):
			args = append(args, fmt.Sprintf("-%s=%s", f.Name, f.Value))
		}
	})
	return runProgram(t, "TestSuiteInCluster", args...)
}

func wantInCluster() map[string]outcome {
	want := map[string]outcome{}
	served := served()
	for _, test := range tests.ConformanceTests {
		want[test.ShortName] = skip
		if served.HasAll(test.Features...) {
			want[test.ShortName] = pass
		}
	}
	return want
}

// TestSuiteInCluster is the suite itself.
func TestSuiteInCluster(t *testing.T) {
	if !*inCluster {
		t.Skip("TestKubernetes runs it in a process of its own")
	}
	options := conformance.DefaultOptions(t)
	mustSay(t, options.Client, served())
	options.GatewayClassName = className
	options.ConformanceProfiles = profileNames()
	options.SupportedFeatures = sets.List(served())
	options.ReportOutputPath = *reportFile
	if usable, unusable := os.Getenv("SLUICE_TEST_USABLE_ADDRESS"), os.Getenv("SLUICE_TEST_UNUSABLE_ADDRESS"); len(options.UsableNetworkAddresses) == 0 && usable != "" {
		options.UsableNetworkAddresses = []gatewayv1.GatewaySpecAddress{ipAddress(usable)}
		options.UnusableNetworkAddresses = []gatewayv1.GatewaySpecAddress{ipAddress(unusable)}
	}
	options.Implementation = confv1.Implementation{
		Organization: "sluicegateway",
		Project:      "sluice",
		URL:          "https://github.com/sluicegateway/sluice",
		Version:      cmp.Or(options.Implementation.Version, "unreleased"),
		Contact:      []string{"https://github.com/sluicegateway/sluice/issues"},
	}
	conformance.RunConformanceWithOptions(t, options)
}

// checkReport holds that the report says success of each profile, and leaves
// nothing out.
func checkReport(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report confv1.ConformanceReport
	if err := yaml.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	var reported []suite.ConformanceProfileName
	for _, p := range report.ProfileReports {
		reported = append(reported, suite.ConformanceProfileName(p.Name))
		if p.Core.Result != confv1.Success || p.Extended == nil || p.Extended.Result != confv1.Success {
			t.Errorf("profile %s: core and extended should both be %s:\n%s", p.Name, confv1.Success, content)
			continue
		}
		if len(p.Core.SkippedTests)+len(p.Extended.SkippedTests)+len(p.Extended.UnsupportedFeatures) > 0 {
			t.Errorf("profile %s skips %q %q and does not support %q", p.Name, p.Core.SkippedTests, p.Extended.SkippedTests, p.Extended.UnsupportedFeatures)
		}
	}
	if want := profileNames(); !sets.New(reported...).Equal(sets.New(want...)) {
		t.Errorf("profiles %q are reported, want %q", reported, want)
	}
}
