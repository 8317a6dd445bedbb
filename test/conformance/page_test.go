package conformance

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/tests"
)

var row = regexp.MustCompile(`(?m)^\| .* \|$`)

// TestPage holds that docs/conformance.md shows the deviations, and their number.
func TestPage(t *testing.T) {
	content, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	count := map[outcome]int{}
	for _, want := range wantOutcomes() {
		count[want]++
	}
	sentence := fmt.Sprintf("Of %d tests, %d pass, %d fail and %d are skipped.", len(tests.ConformanceTests), count[pass], count[fail], count[skip])
	if !strings.Contains(page, sentence) {
		t.Errorf("the page does not say: %s", sentence)
	}
	want := []string{"| Reason | Outcome | Tests |"}
	for _, d := range deviations {
		want = append(want, fmt.Sprintf("| %s | %s | `%s` |", d.reason, d.outcome, strings.Join(d.tests, "` `")))
	}
	if got := row.FindAllString(page, -1); !slices.Equal(got, want) {
		t.Errorf("the page's table should be:\n%s", strings.Join(slices.Insert(want, 1, "|---|---|---|"), "\n"))
	}
}

// TestDeviations holds that each name is that of a test, stands there once, and
// asks for a feature that is not served.
func TestDeviations(t *testing.T) {
	unseen := map[string]bool{}
	for _, test := range tests.ConformanceTests {
		unseen[test.ShortName] = true
	}
	for _, d := range deviations {
		for _, name := range d.tests {
			if !unseen[name] {
				t.Errorf("%s is no test of the suite, or is listed twice", name)
			}
			delete(unseen, name)
		}
	}
	for _, test := range tests.ConformanceTests {
		if asks, passes := servedAlone().HasAll(test.Features...), unseen[test.ShortName]; asks != passes {
			t.Errorf("%s is to pass: %v, and all its features are served: %v", test.ShortName, passes, asks)
		}
	}
}
