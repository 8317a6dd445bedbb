// Package docs holds the documentation. Its tests run what the pages show.
//
// In a page, a block
//
//	```yaml NAME   is a file that the reader saves
//	```console     has commands after "$ ", each followed by what it prints
//
// In the output, "..." stands for any text within a line and, alone on a line,
// for any lines. A command that ends in "&" runs until the end of the page. A
// block "console eventually" has commands that are repeated until they print
// what the page says, for what takes effect a moment later.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
		for _, page := range pages {
			t.Run(page, func(t *testing.T) {
				t.Parallel()
				content, err := fs.ReadFile(root, page)
				if err != nil {
					t.Fatal(err)
				}
				runPage(t, string(content))
			})
		}
	}
}

var block = regexp.MustCompile("(?ms)^```(yaml|console)([^\n]*)\n(.*?)^```$")

// runPage does what the page tells its reader to do.
func runPage(t *testing.T, content string) {
	blocks := block.FindAllStringSubmatch(content, -1)
	if blocks == nil {
		return
	}
	tr := trial.New(t, "examples")
	for _, b := range blocks {
		argument := strings.TrimSpace(b[2])
		switch {
		case b[1] == "console":
			for _, step := range steps(t, b[3]) {
				runStep(t, tr, step, argument == "eventually")
			}
		case argument != "":
			tr.WriteFile(argument, b[3])
		}
	}
}

// step is a command and what it prints.
type step struct{ command, want string }

// steps splits a console block. A command that ends in a backslash goes on in
// the next line.
func steps(t *testing.T, console string) []step {
	var result []step
	continued := false
	for line := range strings.Lines(console) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			result = append(result, step{command: command})
		case len(result) == 0:
			t.Fatalf("a console block begins with a command after \"$ \", not with %q", line)
		case continued:
			command = line
			result[len(result)-1].command += line
		default:
			result[len(result)-1].want += line
		}
		continued = (isCommand || continued) && strings.HasSuffix(command, "\\\n")
	}
	return result
}

func runStep(t *testing.T, tr *trial.Trial, s step, eventually bool) {
	t.Helper()
	command := strings.TrimSpace(s.command)
	if background, ok := strings.CutSuffix(command, "&"); ok {
		tr.Start(strings.TrimSpace(background))
		return
	}
	want := expectation(s.want)
	deadline := time.Now().Add(patience)
	output, code := tr.Shell(command)
	for eventually && !want.MatchString(output) && time.Now().Before(deadline) {
		output, code = tr.Shell(command)
	}
	if !want.MatchString(output) {
		t.Fatalf("$ %s\nprinted (exit code %d):\n%s\nbut the page says:\n%s", command, code, output, s.want)
	}
}

// gap is the space between columns, whose width the ports of a trial may change.
var gap = regexp.MustCompile(` {2,}`)

// expectation compiles what a page says that a command prints.
func expectation(want string) *regexp.Regexp {
	var pattern strings.Builder
	for line := range strings.Lines(want) {
		line = strings.TrimRight(line, " \n")
		if line == "..." {
			pattern.WriteString(`(?:.*(?:\n|\z))*?`)
			continue
		}
		parts := strings.Split(line, "...")
		for i := range parts {
			parts[i] = gap.ReplaceAllString(regexp.QuoteMeta(parts[i]), gap.String())
		}
		pattern.WriteString(strings.Join(parts, ".*?") + `[ \r]*(?:\n|\z)`)
	}
	return regexp.MustCompile(`\A` + pattern.String() + `\z`)
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// TestLinks holds that links between files of the repository lead somewhere.
func TestLinks(t *testing.T) {
	err := filepath.WalkDir(trial.Root(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".md") {
			return err
		}
		content, err := os.ReadFile(name)
		for _, match := range link.FindAllSubmatch(content, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), string(match[1]))); err != nil {
				t.Errorf("%s links to %s: %v", name, match[1], err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExpectation(t *testing.T) {
	for _, test := range []struct {
		want, output string
		match        bool
	}{
		{"one\n", "one\n", true},
		{"one\n", "one\ntwo\n", false},
		{"", "one\n", false},
		{"o...e\n", "one\n", true},
		{"o...e\n", "o\ne\n", false},
		{"one\n...\n", "one\n", true},
		{"...\nthree\n", "one\ntwo\nthree\n", true},
		{"a.c\n", "abc\n", false},
		{"a   b\n", "a    b\n", true},
		{"a b\n", "a  b\n", false},
		{"HTTP/1.1 200 OK\n...\n", "HTTP/1.1 200 OK\r\nx: y\r\n\r\n", true},
	} {
		if got := expectation(test.want).MatchString(test.output); got != test.match {
			t.Errorf("%q against %q: got %v, want %v", test.want, test.output, got, test.match)
		}
	}
}
