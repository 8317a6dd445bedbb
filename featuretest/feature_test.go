package featuretest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	source "github.com/sluicegateway/sluice/control/source/file"
)

func TestFeatures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no file in testdata: %v", err)
	}
	yaml, err := os.ReadFile("base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	base := apply(t, yaml)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps := []step{base}
			for _, part := range archive.Files {
				steps = append(steps, readPart(t, part)...)
			}
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				for _, step := range steps {
					step(w)
				}
			})
		})
	}
}

// step is a part of a file, ready to be carried out in a bubble.
type step func(*world)

// readPart reads a part. What needs files and real time happens here.
func readPart(t *testing.T, part txtar.File) []step {
	t.Helper()
	text := string(part.Data)
	switch {
	case strings.HasSuffix(part.Name, ".yaml"):
		return []step{apply(t, part.Data)}
	case part.Name == "delete":
		return []step{remove(t, text)}
	case part.Name == "status":
		return []step{func(w *world) { wantConditions(w, text) }}
	case part.Name == "requests":
		var steps []step
		for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
			e, err := parseExchange(block)
			if err != nil {
				t.Fatal(err)
			}
			steps = append(steps, func(w *world) { w.exchange(e) })
		}
		return steps
	}
	t.Fatalf("a part is called %s; doc.go says which there are", part.Name)
	return nil
}

// remove deletes objects.
func remove(t *testing.T, keys string) step {
	t.Helper()
	var changes []snapshot.Change
	for line := range strings.SplitSeq(strings.TrimSpace(keys), "\n") {
		kind, name, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("%q: want KIND NAMESPACE/NAME", line)
		}
		key := snapshot.Key{Kind: snapshot.Kind(kind), Name: name}
		if namespace, name, ok := strings.Cut(name, "/"); ok {
			key.Namespace, key.Name = namespace, name
		}
		changes = append(changes, snapshot.Change{Key: key})
	}
	return func(w *world) { w.apply(control.Update{Changes: changes}) }
}

func wantConditions(w *world, lines string) {
	w.Helper()
	got := w.conditions()
	for want := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }) {
			w.Errorf("no condition is\n\t%s\nbut there are\n\t%s", want, strings.Join(got, "\n\t"))
		}
	}
}

// apply reads objects as `sluice run` does, and applies them.
func apply(t *testing.T, yaml []byte) step {
	t.Helper()
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, yaml, 0o644); err != nil {
		t.Fatal(err)
	}
	contents, err := source.Load(t.Context(), source.Options{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range contents.Diagnostics {
		t.Errorf("line %d: %s: %s", d.Line, d.Field, d.Message)
	}
	return func(w *world) { w.apply(control.Update{Changes: contents.Changes}) }
}
