package swaptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	// A result from the cache of tests must not outlive a change of the program.
	_ "github.com/sluicegateway/sluice/cli"
)

// How many changes a test makes, without and with -short.
const (
	manyChanges = 1000
	fewChanges  = 100
)

// patience bounds every wait for a condition.
const patience = 30 * time.Second

// sluice is the program, built once for all tests.
var sluice string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "swaptest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	sluice = filepath.Join(dir, "sluice")
	args := []string{"build", "-o", sluice}
	if raceDetected() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/sluice")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// raceDetected reports whether this test runs with the race detector. The
// program then does too.
func raceDetected() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestChangesCostNoRequest(t *testing.T) {
	for _, engine := range []string{"epoll", "portable"} {
		t.Run(engine, func(t *testing.T) {
			if engine == "epoll" && runtime.GOOS != "linux" {
				t.Skip("the epoll engine is for Linux")
			}
			testChanges(t, engine)
		})
	}
}

func testChanges(t *testing.T, engine string) {
	n := manyChanges
	if testing.Short() {
		n = fewChanges
	}
	s := newSite(t)
	g := startGateway(t, engine, s)
	counts := newTally(t)
	l := startLoad(t, g, s, counts, n)

	took := make([]time.Duration, n)
	for i := range took {
		s.change = i + 1
		took[i] = l.make(changes[i%len(changes)])
	}
	l.drain()

	slices.Sort(took)
	t.Logf("%d changes, seen after %v (median) and %v (p99); %s", n,
		took[n/2].Round(100*time.Microsecond), took[n*99/100].Round(100*time.Microsecond), counts)
}
