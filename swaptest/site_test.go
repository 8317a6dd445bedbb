package swaptest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"text/template"

	"github.com/sluicegateway/sluice/examples/trial"
)

// files are the templates in testdata, which a site fills in.
var files = template.Must(template.ParseGlob("testdata/*.yaml"))

// site is the folder that the gateway serves, and what is written there now. A
// change is a new value in a field and a file that is written with it.
type site struct {
	t   *testing.T
	dir string
	// change numbers the changes; the first is 1.
	change int

	// Port is where the load goes; its socket stays whatever the listeners on it do.
	Port int
	// ListenerName is one of ListenerNames.
	ListenerName  string
	ListenerNames []string
	// NamedListener says that a second listener shares Port, for named.example.
	NamedListener bool
	// VisitedListener says that there is a listener at VisitedPort.
	VisitedListener bool
	VisitedPort     int
	// visitable says that it was seen, and that it has not begun to go.
	visitable atomic.Bool

	// MainVersion, SplitVersion and MountedVersion are values of header filters:
	// the number of the change that wrote them.
	MainVersion, SplitVersion, MountedVersion int
	WeightA, WeightB                          int
	RequestFilter, Rule                       bool
	// Pair tells which of two Services there is.
	Pair int

	// Fixed are the ports of the backends that stay, by name.
	Fixed            map[string]int
	rolling, joining *backend
	leaving          []*backend // are no longer endpoints, and end once that is seen
}

func newSite(t *testing.T) *site {
	s := &site{
		t:             t,
		dir:           t.TempDir(),
		Port:          trial.FreePort(t),
		VisitedPort:   trial.FreePort(t),
		ListenerNames: []string{"blue", "green"},
		ListenerName:  "blue",
		WeightA:       1,
		Fixed:         map[string]int{"a": startBackend(t, "a").port, "b": startBackend(t, "b").port},
		rolling:       startBackend(t, "rolling-0"),
	}
	for _, name := range []string{"gateway.yaml", "fixed.yaml", "main.yaml", "split.yaml", "pair.yaml", "rolling.yaml"} {
		s.write(name)
	}
	s.mount()
	s.check(os.Symlink("..data/mounted.yaml", s.path("mount", "mounted.yaml")))
	return s
}

// RollingPort is the port of the endpoint that is being replaced now and then.
func (s *site) RollingPort() int { return s.rolling.port }

// JoiningPort is the port of the endpoint beside it, 0 for none.
func (s *site) JoiningPort() int {
	if s.joining == nil {
		return 0
	}
	return s.joining.port
}

// settle goes on from a change that was seen: what is no longer used may end,
// and what is new may be used.
func (s *site) settle() {
	for _, b := range s.leaving {
		b.retire(s.t)
	}
	s.leaving = nil
	s.visitable.Store(s.VisitedListener)
}

func (s *site) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) render(name string) []byte {
	var text bytes.Buffer
	s.check(files.ExecuteTemplate(&text, name, s))
	return text.Bytes()
}

// write replaces a file as editors do: by a rename.
func (s *site) write(name string) {
	s.check(os.WriteFile(s.path(name+"~"), s.render(name), 0o644))
	s.check(os.Rename(s.path(name+"~"), s.path(name)))
}

// mount replaces the content of the folder mount as the kubelet does with that
// of a ConfigMap: by the rename of a symbolic link.
func (s *site) mount() {
	before, _ := os.Readlink(s.path("mount", "..data"))
	now := fmt.Sprintf("..%d", s.change)
	s.check(os.MkdirAll(s.path("mount", now), 0o755))
	s.check(os.WriteFile(s.path("mount", now, "mounted.yaml"), s.render("mounted.yaml"), 0o644))
	s.check(os.Symlink(now, s.path("mount", "..next")))
	s.check(os.Rename(s.path("mount", "..next"), s.path("mount", "..data")))
	if before != "" {
		s.check(os.RemoveAll(s.path("mount", before)))
	}
}
