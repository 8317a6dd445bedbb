// Package docs holds the documentation. Its tests run what the pages show, as
// package page reads it; those of pages about clusters are in test/kubernetes.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/docs/page"
	"github.com/sluicegateway/sluice/examples/trial"
)

func TestMain(m *testing.M) { trial.Main(m) }

// patience is how long a command of a block "eventually" is repeated.
const patience = 20 * time.Second

func TestPages(t *testing.T) {
	root := os.DirFS(trial.Root())
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/tasks/*.md"} {
		pages, err := fs.Glob(root, pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("no page is called %s (%v)", pattern, err)
		}
		for _, name := range pages {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				content, err := fs.ReadFile(root, name)
				if err != nil {
					t.Fatal(err)
				}
				runPage(t, string(content))
			})
		}
	}
}

// runPage does what the page tells its reader to do.
func runPage(t *testing.T, content string) {
	blocks, err := page.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	if blocks == nil {
		return
	}
	tr := trial.New(t, "examples")
	for _, b := range blocks {
		if b.File != "" {
			tr.WriteFile(b.File, b.Content)
		}
		for _, step := range b.Steps {
			runStep(t, tr, step, b.Eventually)
		}
	}
}

func runStep(t *testing.T, tr *trial.Trial, s page.Step, eventually bool) {
	t.Helper()
	if s.Background {
		tr.Start(s.Command)
		return
	}
	deadline := time.Now().Add(patience)
	output, code := tr.Shell(s.Command)
	for eventually && !s.Printed(output) && time.Now().Before(deadline) {
		output, code = tr.Shell(s.Command)
	}
	if !s.Printed(output) {
		t.Fatalf("$ %s\nprinted (exit code %d):\n%s\nbut the page says:\n%s", s.Command, code, output, s.Want)
	}
}

var (
	link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	// heading and noAnchor find headings, and what their anchors leave out of them.
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noAnchor = regexp.MustCompile(`[^\w -]`)
)

// TestLinks holds that links between files of the repository lead somewhere.
func TestLinks(t *testing.T) {
	err := filepath.WalkDir(trial.Root(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".md") {
			return err
		}
		content, err := os.ReadFile(name)
		for _, match := range link.FindAllSubmatch(content, -1) {
			target := name
			if len(match[1]) > 0 {
				target = filepath.Join(filepath.Dir(name), string(match[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, match[1], err)
			} else if anchor := string(match[2]); anchor != "" && !slices.Contains(anchors(text(t, target)), anchor) {
				t.Errorf("%s links to %s#%s, and there is no such heading", name, match[1], anchor)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// anchors are those of a page's headings.
func anchors(page string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return all
}
