package conformance

import (
	"context"
	"flag"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	"github.com/sluicegateway/sluice/proxy/engine"
)

var engineName = flag.String("engine", "", "run the suite in this process on the engine: epoll or portable")

// TestConformance runs the suite on each engine, and holds that each test ends as
// the deviations say, or passes. The suite runs in a process of its own because
// tests that are expected to fail would have this one fail.
func TestConformance(t *testing.T) {
	if *engineName != "" {
		t.Skip("TestSuite runs in this process")
	}
	for _, name := range []string{"epoll", "portable"} {
		t.Run(name, func(t *testing.T) {
			compare(t, runSuite(t, name), wantOutcomes())
		})
	}
}

// report is what became of the tests of the suite.
type report struct {
	suite    string
	outcomes map[string]outcome
	output   string
}

func runSuite(t *testing.T, engine string) report {
	return runProgram(t, "TestSuite", "-engine="+engine)
}

// runProgram runs one test of this program, which is a suite, in a process of its own.
func runProgram(t *testing.T, suite string, args ...string) report {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "-test.v", "-test.run=^"+suite+"$")
	output, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	r := report{suite: suite, outcomes: map[string]outcome{}, output: string(output)}
	outcomeLine := regexp.MustCompile(`(?m)^    --- (PASS|FAIL|SKIP): ` + suite + `/([^/ ]+) \(`)
	for _, match := range outcomeLine.FindAllStringSubmatch(r.output, -1) {
		r.outcomes[match[2]] = outcome(match[1])
	}
	if len(r.outcomes) == 0 {
		t.Fatalf("the suite did not run: %v\n%s", err, output)
	}
	return r
}

// of is what one test printed.
func (r report) of(test string) string {
	firstLine := regexp.MustCompile(`(?m)^=== RUN   ` + r.suite + `/([^/\n]+)$`)
	starts := firstLine.FindAllStringSubmatchIndex(r.output, -1)
	for i, start := range starts {
		if r.output[start[2]:start[3]] != test {
			continue
		}
		if i+1 < len(starts) {
			return r.output[start[0]:starts[i+1][0]]
		}
		return r.output[start[0]:]
	}
	return ""
}

// compare reports each test that did not end as it should, and counts.
func compare(t *testing.T, got report, want map[string]outcome) {
	count := map[outcome]int{}
	for _, test := range tests.ConformanceTests {
		name := test.ShortName
		ended := got.outcomes[name]
		count[ended]++
		if ended != want[name] {
			t.Errorf("%s: got %q, want %q\n%s", name, ended, want[name], got.of(name))
		}
	}
	t.Logf("%d passed, %d failed, %d skipped", count[pass], count[fail], count[skip])
}

// TestSuite is the suite itself. A single test of it is run by, for instance,
//
//	go test -v -run 'TestSuite/^HTTPRouteWeight$' -engine epoll .
func TestSuite(t *testing.T) {
	if *engineName == "" {
		t.Skip("TestConformance runs it in processes of their own")
	}
	mustHavePort80(t)
	dataPlane, err := engine.New(engine.Options{Workers: 2, Portable: *engineName == "portable"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dataPlane.Shutdown(context.Background(), 0, 0) })
	s := newSuite(t, newCluster(t, dataPlane))
	s.Setup(t, tests.ConformanceTests)
	for _, test := range tests.ConformanceTests {
		t.Run(test.ShortName, func(t *testing.T) { test.Run(t, s) })
	}
}

func mustHavePort80(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.10.1:80")
	if err != nil {
		t.Fatalf("the suite sends to port 80, which cannot be had: %v; the package's comment says how to run it", err)
	}
	listener.Close()
}

func newSuite(t *testing.T, c *cluster) *suite.ConformanceTestSuite {
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: className}, Spec: gatewayv1.GatewayClassSpec{ControllerName: controllerName}}
	if err := c.client().Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	kubernetes.GWCMustHaveAcceptedConditionTrue(t, c.client(), timeouts(), className)
	mustSay(t, c.client(), servedAlone())
	s, err := suite.NewConformanceTestSuite(suite.ConformanceOptions{
		Client:     c.client(),
		Clientset:  newLogReader(t, c.pods),
		ManifestFS: []fs.FS{conformance.Manifests},
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName:     className,
			SupportedFeatures:    sets.List(servedAlone()),
			TimeoutConfig:        timeouts(),
			AllowCRDsMismatch:    true, // there are no definitions to compare
			CleanupTestResources: true,
			DisableParallelTests: true,
			// The one is on loopback, the other on no machine: RFC 5737 keeps it for examples.
			UsableNetworkAddresses:   []gatewayv1.GatewaySpecAddress{ipAddress("127.0.20.1")},
			UnusableNetworkAddresses: []gatewayv1.GatewaySpecAddress{ipAddress("192.0.2.77")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// timeouts are those of the suite, but for the waits for statuses and for requests
// to succeed: here they take milliseconds, and tests that fail take all of them.
func timeouts() config.TimeoutConfig {
	c := config.DefaultTimeoutConfig()
	for _, wait := range []*time.Duration{
		&c.GatewayMustHaveAddress, &c.GatewayMustHaveCondition, &c.GatewayStatusMustHaveListeners,
		&c.GatewayListenersMustHaveConditions, &c.HTTPRouteMustHaveCondition, &c.RouteMustHaveParents,
		&c.LatestObservedGenerationSet, &c.NamespacesMustBeReady, &c.MaxTimeToConsistency,
	} {
		*wait = 4 * time.Second
	}
	return c
}
