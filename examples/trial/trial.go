// Package trial runs examples and documentation against the real program. A
// trial works on a copy of the files in which every port that the examples use
// is a free one, so that trials run beside each other and beside what else the
// machine does; what commands print is given back with the ports of the examples.
package trial

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/cli"
)

// beProgram is an environment variable that makes a test binary the program.
const beProgram = "SLUICE_TRIAL_PROGRAM"

// Main runs the tests of a package that uses trials; its TestMain calls it. The
// test binary holds the program too, so that nothing must be built for it.
func Main(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

// patience bounds every wait: for a program to be ready, for a command to end.
const patience = 60 * time.Second

// adminPort is where the program's admin listener is unless a flag says otherwise.
const adminPort = "9901"

// Trial is a folder with a copy of files of this repository, and the programs
// that run in it. They end with the test.
type Trial struct {
	t testing.TB
	// Dir is the folder. Commands run in it.
	Dir string

	toFree, toWritten map[string]string
}

// New copies folders of the repository, such as "examples/quickstart", under
// the same paths.
func New(t testing.TB, folders ...string) *Trial {
	t.Helper()
	tr := &Trial{t: t, Dir: t.TempDir(), toFree: map[string]string{}, toWritten: map[string]string{}}
	tr.installProgram()
	for _, folder := range folders {
		tr.copyFolder(folder)
	}
	return tr
}

func (tr *Trial) copyFolder(folder string) {
	tr.t.Helper()
	root := os.DirFS(Root())
	err := fs.WalkDir(root, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err == nil {
			tr.WriteFile(name, string(content))
		}
		return err
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

// WriteFile writes a file of the trial as an editor would: whole, then renamed.
func (tr *Trial) WriteFile(name, content string) {
	tr.t.Helper()
	target := filepath.Join(tr.Dir, name)
	temporary := target + "~"
	err := os.MkdirAll(filepath.Dir(target), 0o755)
	if err == nil {
		err = os.WriteFile(temporary, []byte(tr.free(content)), 0o644)
	}
	if err == nil {
		err = os.Rename(temporary, target)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// Shell runs a command line with bash and returns what it printed, on standard
// output and error, and its exit code.
func (tr *Trial) Shell(command string) (output string, code int) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), patience)
	defer cancel()
	cmd := tr.command(ctx, command)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		tr.t.Fatalf("%s: not ended after %v; it printed:\n%s", command, patience, out)
	}
	if cmd.ProcessState == nil {
		tr.t.Fatalf("%s: %v", command, err)
	}
	return tr.written(string(out)), cmd.ProcessState.ExitCode()
}

// Start runs a command line until the end of the test and waits until every
// loopback address that it names accepts connections and, for `sluice run`,
// until the gateway is ready.
func (tr *Trial) Start(command string) {
	tr.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := tr.command(ctx, "exec "+command)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		tr.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	tr.t.Cleanup(func() {
		cancel()
		<-ended
		if tr.t.Failed() {
			tr.t.Logf("%s printed:\n%s", command, tr.written(output.String()))
		}
	})
	for _, address := range regexp.MustCompile(`127\.0\.0\.1:\d+`).FindAllString(tr.free(command), -1) {
		await(tr.t, ended, command, func() bool { return accepts(address) })
	}
	if strings.HasPrefix(command, "sluice run ") {
		await(tr.t, ended, command, func() bool { return answers("http://127.0.0.1:" + tr.free(adminPort) + "/readyz") })
	}
}

// command prepares a command line. It and what it starts end with ctx.
func (tr *Trial) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", tr.free(line))
	cmd.Dir = tr.Dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(tr.Dir, ".bin")+":"+os.Getenv("PATH"), "NO_COLOR=1", "http_proxy=", "HTTP_PROXY=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// installProgram puts a `sluice` before all others in the path of commands:
// the real one, which finds the trial's own admin listener.
func (tr *Trial) installProgram() {
	tr.t.Helper()
	bin := filepath.Join(tr.Dir, ".bin")
	err := os.MkdirAll(bin, 0o755)
	self, selfErr := os.Executable()
	if selfErr != nil {
		err = selfErr
	}
	script := fmt.Sprintf("#!/bin/sh\n%s=1 SLUICE_ADMIN=127.0.0.1:%s exec %s \"$@\"\n", beProgram, tr.free(adminPort), self)
	if err == nil {
		err = os.WriteFile(filepath.Join(bin, "sluice"), []byte(script), 0o755)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// await waits until done, while the program runs.
func await(t testing.TB, ended <-chan struct{}, what string, done func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !done() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ended:
			t.Fatalf("%s: ended before it was ready", what)
		case <-timeout:
			t.Fatalf("%s: not ready after %v", what, patience)
		}
	}
}

func accepts(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func answers(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}
