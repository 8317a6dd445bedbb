package sluice

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
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
	"api":                {},
	"config":             {},
	"control":            {"config", "control"},
	"control/snapshot":   {"api"},
	"control/diagnostic": {"control/snapshot"},
	"control/source":     {"api", "control/diagnostic", "control/snapshot"},
	"control/status":     {"control/snapshot"},
	"control/attach":     {"control/diagnostic", "control/snapshot", "control/status"},
	"control/translate":  {"api", "config", "control/attach", "control/diagnostic", "control/snapshot", "control/status"},
	"proxy":              {"config", "observe", "proxy"},
	"proxy/message":      {},
	"proxy/loop":         {},
	"proxy/http1":        {"proxy/message"},
	"proxy/route":        {"config", "proxy/message"},
	"proxy/filter":       {"config", "proxy/message", "proxy/route"},
	"proxy/upstream":     {"config", "proxy/http1", "proxy/loop", "proxy/message"},
	"observe":            {},
	"admin":              {"control", "observe"},
	"cli":                {"admin", "api", "config", "control", "observe", "proxy"},
	"cmd/sluice":         {"cli"},
}

// pure rooms have no clock, no goroutines and no locks: what they need of
// these is handed to them.
var pure = []string{"proxy/http1", "proxy/route", "proxy/filter", "control/translate", "control/attach"}

// impure is what the pure rooms leave alone, beside go statements.
var impure = []string{"time.Now", "time.Sleep", "time.After", "time.NewTimer", "sync.Mutex", "sync.RWMutex"}

// foreign is what a half of the house must not import from outside: the data
// plane knows nothing of Kubernetes, and the control half knows no sockets.
var foreign = map[string]string{"proxy": "k8s.io/", "control": "net/http"}

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
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
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

// roomOf is the longest room of the table that holds the package at p, or ".".
func roomOf(p string) string {
	for imports[p] == nil && p != "." {
		p = path.Dir(p)
	}
	return p
}

func TestRooms(t *testing.T) {
	for p, listed := range packages(t) {
		if slices.Contains(vague, listed.Name) {
			t.Errorf("%s: the name %s says nothing about what the package is", p, listed.Name)
		}
		room := roomOf(p)
		if room == "." && p != "" {
			t.Errorf("%s is in no room of the import table", p)
		}
		for _, imported := range listed.Imports {
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				allowed := append([]string{room}, imports[room]...)
				if !slices.ContainsFunc(allowed, func(r string) bool { return within(own, r) }) {
					t.Errorf("%s imports %s; %s may import %v", p, own, room, imports[room])
				}
			}
			for half, outside := range foreign {
				if within(p, half) && strings.Contains(imported, outside) {
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

// checkComments wants a comment on the package and on each exported name.
func checkComments(t *testing.T, p string, fset *token.FileSet, files []*ast.File) {
	documented, err := doc.NewFromFiles(fset, files, p)
	if err != nil {
		t.Fatal(err)
	}
	want := func(name, comment string) {
		if comment == "" {
			t.Errorf("%s: %s has no comment", p, name)
		}
	}
	functions := documented.Funcs
	want("the package", documented.Doc)
	for _, typ := range documented.Types {
		want(typ.Name, typ.Doc)
		functions = slices.Concat(functions, typ.Funcs, typ.Methods)
	}
	for _, function := range functions {
		want(function.Name, function.Doc)
	}
	for _, group := range slices.Concat(documented.Consts, documented.Vars) {
		for _, spec := range group.Decl.Specs {
			s := spec.(*ast.ValueSpec)
			want(s.Names[0].Name, group.Doc+s.Doc.Text()+s.Comment.Text())
		}
	}
}

func TestModule(t *testing.T) {
	gomod, err := os.ReadFile("go.mod")
	if err != nil || regexp.MustCompile(`(?m)^replace\b`).Match(gomod) {
		t.Error("go.mod is absent or replaces a module, and go install would build another program:", err)
	}
}

// TestFilters holds that each filter that order.go compiles has a file, a test,
// and a paragraph for those who read the life of a request.
func TestFilters(t *testing.T) {
	order, errOrder := os.ReadFile("proxy/filter/order.go")
	life, errLife := os.ReadFile("docs/life-of-a-request.md")
	names := regexp.MustCompile(`\bf\.(?:Request|Response)?([A-Z]\w*)`).FindAllSubmatch(order, -1)
	if len(names) == 0 {
		t.Fatal("proxy/filter/order.go compiles no filter", errOrder, errLife)
	}
	for _, name := range names {
		for _, end := range []string{".go", "_test.go"} {
			if _, err := os.Stat("proxy/filter/" + strings.ToLower(string(name[1])) + end); err != nil {
				t.Errorf("filter %s: %v", name[1], err)
			}
		}
		if !strings.Contains(string(life), fmt.Sprintf("%s**", name[1])) {
			t.Errorf("filter %s has no paragraph in docs/life-of-a-request.md", name[1])
		}
	}
}
