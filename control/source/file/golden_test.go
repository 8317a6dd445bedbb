package file_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
)

var update = flag.Bool("update", false, "write what the golden files say now")

// wantFile is the file of an archive that holds what is expected of the others.
const wantFile = "want"

// TestRules loads the files of each archive and compares what is told about them,
// and which objects are in force.
func TestRules(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, path := range archives {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := strings.CutSuffix(filepath.Base(path), ".txtar")
		t.Run(filepath.Base(filepath.Dir(path))+"/"+name, func(t *testing.T) { testRule(t, path) })
	}
}

func testRule(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var want string
	for i, f := range archive.Files {
		if f.Name == wantFile {
			want = string(f.Data)
			archive.Files[i].Data = nil
			continue
		}
		writeFile(t, f.Name, string(f.Data))
	}
	contents, err := file.Load(t.Context(), file.Options{Paths: []string{"."}})
	if err != nil {
		t.Fatal(err)
	}
	got := describe(contents.Update)
	if *update {
		write(t, path, archive, got)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got, run with -update to accept)\n%s", diff)
	}
}

func write(t *testing.T, path string, archive *txtar.Archive, got string) {
	files := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != wantFile {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: wantFile, Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describe is what an update says, in lines.
func describe(update file.Update) string {
	var out bytes.Buffer
	for _, d := range update.Diagnostics {
		out.WriteString(describeDiagnostic(d))
	}
	for _, change := range update.Changes {
		if implied(change) {
			continue
		}
		verb := "in force:"
		if change.Object == nil {
			verb = "gone:"
		}
		fmt.Fprintln(&out, verb, change.Key)
	}
	return out.String()
}

func describeDiagnostic(d diagnostic.Diagnostic) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s:%d:%d: %s: ", d.File, d.Line, d.Column, d.Severity)
	if d.Object != (snapshot.Key{}) {
		fmt.Fprintf(&out, "%s: ", d.Object)
	}
	if d.Field != "" {
		fmt.Fprintf(&out, "%s: ", d.Field)
	}
	fmt.Fprintln(&out, d.Message)
	if d.Fix != "" {
		fmt.Fprintf(&out, "\tfix: %s\n", d.Fix)
	}
	return out.String()
}

// implied is true of objects that are always there: the class, and namespaces.
func implied(change snapshot.Change) bool {
	switch change.Key.Kind {
	case snapshot.KindGatewayClass:
		return change.Key.Name == "sluice"
	case snapshot.KindNamespace:
		return change.Object != nil && len(change.Object.GetLabels()) == 1
	}
	return false
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
