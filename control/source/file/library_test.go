package file

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	oneObject     = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	anotherObject = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"
)

// TestReplacementInSteps looks at a file at every step of the ways in which editors
// replace files that do not do it at once.
func TestReplacementInSteps(t *testing.T) {
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	type step struct {
		do       func(t *testing.T, path string) // nil: nothing
		after    time.Duration                   // since the step before
		doubtful bool
		changes  int
	}
	cases := map[string][]step{
		"removed and written anew": {
			{remove, 0, true, 0}, {nil, grace / 2, true, 0}, {write(oneObject), 0, false, 0}, {remove, grace, true, 0},
		},
		"emptied and filled":       {{write(""), 0, true, 0}, {write(oneObject), grace / 2, false, 0}},
		"emptied, then removed":    {{write("\n"), 0, true, 0}, {remove, grace / 2, true, 0}, {nil, grace / 2, false, 2}},
		"removed for good":         {{remove, 0, true, 0}, {nil, grace, false, 2}},
		"emptied for good":         {{write("# nothing yet\n"), 0, false, 2}},
		"removed, then others":     {{remove, 0, true, 0}, {write(anotherObject), 1, false, 2}},
		"shortened to white space": {{write(" \n"), 0, true, 0}, {nil, grace, false, 2}, {write(oneObject), 0, false, 2}},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.yaml")
			write(oneObject)(t, path)
			source, err := New(Options{Paths: []string{filepath.Dir(path)}})
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(1000, 0)
			refresh := func() (Update, bool) {
				update, _, err := source.update(t.Context(), list(source.library.paths), rescan{all: true, now: now})
				if err != nil {
					t.Fatal(err)
				}
				return update, source.library.doubtful()
			}
			refresh()
			for i, step := range steps {
				if step.do != nil {
					step.do(t, path)
				}
				now = now.Add(step.after)
				update, doubtful := refresh()
				if doubtful != step.doubtful || len(update.Changes) != step.changes {
					t.Errorf("step %d: doubtful %v, changes %v", i+1, doubtful, update.Changes)
				}
			}
		})
	}
}
