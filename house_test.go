package sluice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluicegateway/sluice"

// imports says which rooms a room may import, beside itself and the rooms in
// it. A room that is not named here may import nothing of ours, and a package
// belongs to the room with the longest path.
var imports = map[string][]string{
	"api": {}, "config": {}, "observe": {}, "proxy/message": {}, "proxy/loop": {},
	"control":             {"api", "config", "control"},
	"control/snapshot":    {"api"},
	"control/diagnostic":  {"control/snapshot"},
	"control/source":      {"api", "control/diagnostic", "control/snapshot"},
	"control/source/kube": {"api", "control/diagnostic", "control/provision", "control/snapshot", "control/status"},
	"control/provision":   {"api", "control/snapshot"},
	"control/status":      {"api", "control/snapshot"},
	"control/attach":      {"control/diagnostic", "control/snapshot", "control/status"},
	"control/translate":   {"api", "config", "control/attach", "control/diagnostic", "control/provision", "control/snapshot", "control/status"},
	"proxy":               {"config", "observe", "proxy"},
	"proxy/http1":         {"proxy/message"},
	"proxy/grpc":          {"proxy/message"},
	"proxy/http2":         {"proxy/grpc", "proxy/message"},
	"proxy/mux":           {"proxy/http2", "proxy/loop", "proxy/message"},
	"proxy/http3":         {"proxy/http2", "proxy/loop", "proxy/message"},
	"proxy/tlsconn":       {"proxy/loop"},
	"proxy/route":         {"config", "proxy/message"},
	"proxy/filter":        {"config", "proxy/message", "proxy/route"},
	"proxy/upstream":      {"config", "proxy/loop", "proxy/mux", "proxy/tlsconn"},
	"admin":               {"control", "observe"},
	"cli":                 {"admin", "api", "config", "control", "observe", "proxy"},
	"cmd/sluice":          {"cli"},
	"featuretest":         {"cli", "control", "proxy"},
	"examples":            {"cli"},
	"swaptest":            {"cli", "examples"},
	"deploy/image":        {},
	"test/cluster":        {"deploy/image"},
}

// pure rooms are handed what they need of clocks, goroutines and locks.
var pure = []string{"proxy/grpc", "proxy/http1", "proxy/http2", "proxy/route", "proxy/filter", "control/translate", "control/attach", "control/provision"}

// impure is what the pure rooms leave alone, beside go statements.
var impure = []string{"time.Now", "time.Sleep", "time.After", "time.NewTimer", "sync.Mutex", "sync.RWMutex"}

// foreign is what a half of the house must not import from outside.
var foreign = map[string][]string{"proxy": {"k8s.io/"}, "control": {"net/http", "k8s.io/client-go"}}

// gate is the one room of control that knows a client and its transport.
const gate = "control/source/kube"

// vague names say nothing about what a package is.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "manager", "data", "info"}

type listed struct {
	ImportPath, Dir, Name string
	GoFiles, Imports      []string
}

// packages lists the module's packages that have code, by their path in the module.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	result := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			result[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
		}
	}
	return result
}

// within reports whether the package at p is the room or lies in it.
func within(p, room string) bool { return p == room || strings.HasPrefix(p, room+"/") }

func TestRooms(t *testing.T) {
	for p, listed := range packages(t) {
		if slices.Contains(vague, listed.Name) {
			t.Errorf("%s: the name %s says nothing about what the package is", p, listed.Name)
		}
		room := p
		for imports[room] == nil && room != "." && room != "" {
			room = path.Dir(room)
		}
		for _, imported := range listed.Imports {
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				allowed := append([]string{room}, imports[room]...)
				if !slices.ContainsFunc(allowed, func(r string) bool { return within(own, r) }) {
					t.Errorf("%s imports %s; room %s may import %v", p, own, room, imports[room])
				}
			}
			for half, outside := range foreign {
				known := func(path string) bool { return strings.Contains(imported, path) }
				if within(p, half) && !within(p, gate) && slices.ContainsFunc(outside, known) {
					t.Errorf("%s imports %s, which %s must not know", p, imported, half)
				}
			}
		}
	}
}

// TestFiles reads each file: comments, sizes, and what the pure rooms leave alone.
func TestFiles(t *testing.T) {
	for p, listed := range packages(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range listed.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(listed.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
			if n := fset.File(file.Pos()).LineCount(); n > 600 && !ast.IsGenerated(file) {
				t.Errorf("%s/%s has %d lines; over 600 nobody reads a file top-down", p, name, n)
			}
			inPure := slices.ContainsFunc(pure, func(room string) bool { return within(p, room) })
			ast.Inspect(file, func(n ast.Node) bool { checkNode(t, fset, n, inPure); return true })
		}
		checkComments(t, p, fset, files)
	}
}

// checkNode holds the length of functions, and the quiet of the pure rooms.
func checkNode(t *testing.T, fset *token.FileSet, n ast.Node, inPure bool) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line; lines > 100 {
			t.Errorf("%s: %s has %d lines; over 100 it does more than one thing", fset.Position(n.Pos()), n.Name, lines)
		}
	case *ast.GoStmt:
		if inPure {
			t.Errorf("%s: a go statement in a pure room", fset.Position(n.Pos()))
		}
	case *ast.SelectorExpr:
		if name := fmt.Sprintf("%v.%s", n.X, n.Sel); inPure && slices.Contains(impure, name) {
			t.Errorf("%s: %s in a pure room", fset.Position(n.Pos()), name)
		}
	}
}

func TestModule(t *testing.T) {
	if regexp.MustCompile(`(?m)^replace\b`).MatchString(text(t, "go.mod")) {
		t.Error("go.mod replaces a module, and go install would build another program")
	}
}

// TestFilters holds that each filter that order.go compiles has a file, a test,
// and a paragraph for those who read the life of a request.
func TestFilters(t *testing.T) {
	order, life := text(t, "proxy/filter/order.go"), text(t, "docs/life-of-a-request.md")
	tests := text(t, "proxy/filter/*_test.go")
	filters := regexp.MustCompile(`\bf\.((?:Request|Response)?([A-Z]\w*))`).FindAllStringSubmatch(order, -1)
	if len(filters) == 0 {
		t.Fatal("proxy/filter/order.go compiles no filter")
	}
	for _, filter := range filters {
		text(t, "proxy/filter/"+strings.ToLower(filter[2])+".go")
		if !strings.Contains(tests, filter[1]+":") || !strings.Contains(life, "**"+filter[1]+"**") {
			t.Errorf("filter %s has no test in proxy/filter, or no paragraph in docs/life-of-a-request.md", filter[1])
		}
	}
}

// text is what the files hold together; there is at least one.
func text(t *testing.T, pattern string) string {
	t.Helper()
	var all []byte
	files, err := filepath.Glob(pattern)
	for i := 0; i < len(files) && err == nil; i++ {
		var content []byte
		content, err = os.ReadFile(files[i])
		all = append(all, content...)
	}
	if len(all) == 0 || err != nil {
		t.Fatalf("%s cannot be read: %v", pattern, err)
	}
	return string(all)
}
