package docs

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/examples/trial"
)

var (
	reason = regexp.MustCompile(`gatewayv1\.\w*Reason([A-Z]\w+)`)
	// fine are reasons of conditions that say that all is well.
	fine = regexp.MustCompile(`^(Accepted|Programmed|ResolvedRefs|NoConflicts|SupportedVersion)$`)
	// failure finds the words that the data plane gives to failures.
	failure = regexp.MustCompile(`\{\d+, "(\w+)"\}`)
)

// TestTroubleshooting holds that each reason that a condition can have is
// explained, and each word that a failure can have.
func TestTroubleshooting(t *testing.T) {
	wantWords(t, "troubleshooting.md", "control", reason, func(word string) bool { return fine.MatchString(word) })
	wantWords(t, "access-log.md", "proxy/failure.go", failure, func(word string) bool {
		// The words for failed connects share a row.
		rest, isConnect := strings.CutPrefix(word, "upstream_connect")
		return isConnect && strings.Contains(text(t, "access-log.md"), "`"+rest+"`")
	})
}

// wantWords holds that the page has each word, in code or in a table, that
// pattern finds in the Go files at or below root.
func wantWords(t *testing.T, page, root string, pattern *regexp.Regexp, skip func(string) bool) {
	t.Helper()
	content, found := text(t, page), 0
	err := fs.WalkDir(os.DirFS(trial.Root()), root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, match := range pattern.FindAllStringSubmatch(text(t, "../"+name), -1) {
			found++
			if word := match[1]; !skip(word) && !regexp.MustCompile(`[ \x60]`+word+`[ \x60]`).MatchString(content) {
				t.Errorf("%s does not explain %s, which is in %s", page, word, name)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d words in %s: %v", found, root, err)
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
