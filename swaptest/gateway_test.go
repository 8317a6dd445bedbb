package swaptest

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/examples/trial"
)

// How long a gateway accepts connections after SIGTERM, and when it cuts what
// is left. The load must be over before the limit, but for the WebSockets.
const (
	drainMin   = time.Second
	drainLimit = 6 * time.Second
)

// gateway is `sluice run` in a process of its own.
type gateway struct {
	t                     *testing.T
	process               *exec.Cmd
	admin                 string
	address               string // where the load goes
	visited               string // where a listener comes and goes
	programLog, accessLog string // their files
	exited                chan struct{}
	err                   error // how it exited
}

// startGateway serves the site and waits until it is ready.
func startGateway(t *testing.T, engine string, s *site) *gateway {
	t.Helper()
	logs := t.TempDir()
	g := &gateway{
		t:          t,
		admin:      fmt.Sprintf("127.0.0.1:%d", trial.FreePort(t)),
		address:    fmt.Sprintf("127.0.0.1:%d", s.Port),
		visited:    fmt.Sprintf("127.0.0.1:%d", s.VisitedPort),
		programLog: filepath.Join(logs, "program"),
		accessLog:  filepath.Join(logs, "access"),
		exited:     make(chan struct{}),
	}
	g.process = exec.Command(sluice, "run", "--engine="+engine, "--admin="+g.admin, "--access-log=json",
		"--drain-min="+drainMin.String(), "--drain-limit="+drainLimit.String(), s.dir)
	g.process.Stdout, g.process.Stderr = create(t, g.accessLog), create(t, g.programLog)
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.err = g.process.Wait()
		close(g.exited)
	}()
	t.Cleanup(g.end)
	g.await("ready", g.ready)
	return g
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// end kills what still runs, and shows what the logs have on a failure.
func (g *gateway) end() {
	g.process.Process.Kill()
	<-g.exited
	g.showLines(g.programLog, "panic", "DATA RACE")
	if g.t.Failed() {
		g.showLines(g.accessLog, `"failure":"`)
	}
}

// maxShown bounds how many lines of a log are shown.
const maxShown = 20

// showLines reports the lines of a log that have one of the texts in them.
func (g *gateway) showLines(path string, texts ...string) {
	f, err := os.Open(path)
	if err != nil {
		g.t.Error(err)
		return
	}
	defer f.Close()
	shown := 0
	for lines := bufio.NewScanner(f); lines.Scan() && shown < maxShown; {
		for _, text := range texts {
			if strings.Contains(lines.Text(), text) {
				g.t.Errorf("%s log: %s", filepath.Base(path), lines.Text())
				shown++
				break
			}
		}
	}
}

func (g *gateway) ready() bool {
	response, err := http.Get("http://" + g.admin + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// await waits for a condition, as long as the gateway runs.
func (g *gateway) await(what string, holds func() bool) {
	g.t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		select {
		case <-g.exited:
			g.t.Fatalf("the gateway ended before it was %s: %v", what, g.err)
		default:
		}
		if time.Now().After(end) {
			g.t.Fatalf("after %v the gateway is not %s", patience, what)
		}
	}
}

// terminate asks the gateway to drain.
func (g *gateway) terminate() {
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
}

// wantSuccess waits for the gateway's end, which must be a good one.
func (g *gateway) wantSuccess() {
	g.t.Helper()
	select {
	case <-g.exited:
	case <-time.After(patience):
		g.t.Fatalf("the gateway still runs %v after its limit", patience)
	}
	if g.err != nil {
		g.t.Errorf("the gateway ended with %v", g.err)
	}
}
