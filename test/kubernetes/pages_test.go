package kubernetes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/docs/page"
)

// pages are those of docs/cluster with commands, in the order in which somebody
// would follow them.
var pages = []string{"install", "gateways", "operate", "roles", "upgrade", "uninstall"}

// TestPages follows the pages in a cluster without Sluice, and leaves it so.
func TestPages(t *testing.T) {
	c := connect(t)
	if _, err := c.core.CoreV1().Namespaces().Get(c.Context(), shared.namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Skip("Sluice is installed already; ./run --bare has a cluster without it")
	}
	files := must(filepath.Glob(filepath.Join(repository(), "docs/cluster/*.md")))(t)
	if len(files) != len(pages) {
		t.Errorf("docs/cluster has %d pages, and %d are followed", len(files), len(pages))
	}
	r := newReader(t)
	// What the pages leave there.
	t.Cleanup(func() {
		c.kubectl(nil, "delete", "--ignore-not-found", "--wait=false", "namespace/store", "clusterrolebinding/chihiro",
			"clusterrolebinding/ian", "clusterrolebinding/everybody-reads")
		c.kubectl(nil, "-n", "default", "delete", "--ignore-not-found", "--wait=false", "httproute/demo", "service/demo-echo", "deployment/demo-echo")
	})
	for _, name := range pages {
		content := must(os.ReadFile(filepath.Join(repository(), "docs/cluster", name+".md")))(t)
		blocks, err := page.Read(string(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !t.Run(name, func(t *testing.T) { r.follow(t, blocks) }) {
			break // the next ones build on it
		}
	}
}

// reader follows pages in a folder that has what the repository's has, and takes
// new files.
type reader struct{ folder string }

func newReader(t *testing.T) reader {
	r := reader{t.TempDir()}
	root := must(filepath.Abs(repository()))(t)
	for _, entry := range must(os.ReadDir(root))(t) {
		if err := os.Symlink(filepath.Join(root, entry.Name()), filepath.Join(r.folder, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r reader) follow(t *testing.T, blocks []page.Block) {
	for _, b := range blocks {
		if b.File != "" {
			if err := os.WriteFile(filepath.Join(r.folder, b.File), []byte(b.Content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range b.Steps {
			r.run(t, s, b.Eventually)
		}
	}
}

func (r reader) run(t *testing.T, s page.Step, eventually bool) {
	t.Helper()
	if s.Background {
		r.start(t, s.Command)
		return
	}
	output, err := r.shell(t, s.Command)
	for end := time.Now().Add(time.Minute); eventually && !s.Printed(output) && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		output, err = r.shell(t, s.Command)
	}
	if !s.Printed(output) {
		t.Fatalf("$ %s\nprinted (%v):\n%s\nbut the page says:\n%s", s.Command, err, output, s.Want)
	}
}

func (r reader) shell(t *testing.T, line string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	output, err := r.command(ctx, line).CombinedOutput()
	return string(output), err
}

// start runs a command until the end of the page.
func (r reader) start(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := r.command(ctx, "exec "+line)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = command.Wait() })
}

// command finds helm and sluice in build/. What it starts ends with it.
func (r reader) command(ctx context.Context, line string) *exec.Cmd {
	command := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	command.Dir = r.folder
	path := []string{filepath.Join(repository(), "build"), os.Getenv("PATH")}
	command.Env = append(os.Environ(), "PATH="+strings.Join(path, ":"), "NO_COLOR=1")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command
}
