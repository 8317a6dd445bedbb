package translate_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestRules runs each rule's case in testdata. A case is a txtar file:
//
//	-- options --      show: what to compare, and the lines of options.set
//	-- in.yaml --      the objects
//	-- then.yaml --    objects that change afterwards (optional)
//	-- delta --        the changes of the configuration, if shown
//	-- wanted --       what Gateways need in a cluster, if shown
//	-- config --       the configuration, as far as shown
//	-- status --       the statuses, as far as shown
//	-- diagnostics --  the diagnostics, if shown
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, file) })
	}
}

func runCase(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := parseCase(t, archive)
	view := c.run(t)
	if err := view.Config().Validate(); err != nil {
		t.Errorf("the configuration is not valid: %v", err)
	}
	next := c.expectations(view)
	if *update {
		archive.Files = append(c.inputs, next...)
		if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(text(c.outputs), text(next)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

func text(files []txtar.File) string { return string(txtar.Format(&txtar.Archive{Files: files})) }

// goldenCase is one case of testdata.
type goldenCase struct {
	options  translate.Options
	show     map[string]bool
	served   string // "", "first" for the objects before their changes, or "always"
	failures map[string]error
	removed  []snapshot.Key

	cluster cluster

	inputs, outputs []txtar.File
	first, then     []snapshot.Change
	delta           *config.Delta // of the changes
}

func parseCase(t *testing.T, archive *txtar.Archive) *goldenCase {
	c := &goldenCase{options: translate.Options{ControllerName: controllerName}, show: map[string]bool{}, failures: map[string]error{}}
	c.cluster = cluster{silent: map[string]bool{}, refused: map[snapshot.Key]string{}}
	for _, file := range archive.Files {
		switch file.Name {
		case "options":
			c.parseOptions(t, string(file.Data))
		case "in.yaml":
			c.first = decode(t, string(file.Data))
		case "then.yaml":
			c.then = decodeChanges(t, string(file.Data))
		default:
			c.outputs = append(c.outputs, file)
			continue
		}
		c.inputs = append(c.inputs, file)
	}
	return c
}

func (c *goldenCase) parseOptions(t *testing.T, text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "show":
			for _, what := range strings.Split(value, ", ") {
				c.show[what] = true
			}
		case "served":
			c.served = cmp.Or(value, "always")
		case "failed":
			listener, failure, _ := strings.Cut(value, ": ")
			c.served, c.failures[listener] = "always", systemError(failure)
		case "allow external names":
			c.options.AllowExternalName = true
		case "host address":
			c.options.HostAddresses = append(c.options.HostAddresses, netip.MustParseAddr(value))
		case "remove":
			c.removed = append(c.removed, parseKey(value))
		default:
			c.parseClusterOption(t, name, value)
		}
	}
}

// parseKey reads what Key.String writes.
func parseKey(text string) snapshot.Key {
	kind, name, _ := strings.Cut(text, " ")
	namespace, name, namespaced := strings.Cut(name, "/")
	if !namespaced {
		namespace, name = "", namespace
	}
	return snapshot.Key{Kind: snapshot.Kind(kind), Namespace: namespace, Name: name}
}

// run translates the objects, then their changes.
func (c *goldenCase) run(t *testing.T) translate.View {
	translator := translate.New(c.options)
	s := snapshot.New().With(c.first)
	result := translator.Update(s, nil)
	c.report(translator, result)
	s = c.settle(t, translator, s)
	for _, key := range c.removed {
		c.then = append(c.then, snapshot.Change{Key: key})
	}
	if len(c.then) > 0 {
		s = s.With(c.then)
		result = translator.Update(s, keys(c.then))
		c.delta = result.Delta
		c.report(translator, result)
		if c.cluster.again {
			c.settle(t, translator, s)
		}
	}
	return translator.View()
}

// systemError is the error of that text, which ends with that of the system.
func systemError(text string) error {
	for _, number := range []syscall.Errno{syscall.EADDRINUSE, syscall.EACCES, syscall.EADDRNOTAVAIL} {
		if head, found := strings.CutSuffix(text, number.Error()); found {
			return fmt.Errorf("%s%w", head, number)
		}
	}
	return errors.New(text)
}

// report plays the data plane: it serves all listeners but those that fail.
func (c *goldenCase) report(translator *translate.Translator, result translate.Result) {
	if c.served == "" || c.served == "first" && c.delta != nil {
		return
	}
	report := config.Report{Version: result.Delta.Version, Listeners: map[string]error{}}
	for _, l := range result.View.Config().Listeners {
		report.Listeners[l.Name] = c.failures[l.Name]
	}
	translator.Served(report)
}

func keys(changes []snapshot.Change) []snapshot.Key {
	var keys []snapshot.Key
	for _, change := range changes {
		keys = append(keys, change.Key)
	}
	return keys
}

func (c *goldenCase) expectations(view translate.View) []txtar.File {
	var files []txtar.File
	if c.show["listeners"] || c.show["routes"] || c.show["backends"] {
		files = append(files, txtar.File{Name: "config", Data: fingerprint.ReplaceAll([]byte(c.config(view)), nil)})
	}
	if c.show["delta"] {
		files = append(files, txtar.File{Name: "delta", Data: fingerprint.ReplaceAll([]byte(c.delta.String()), nil)})
	}
	if c.show["wanted"] {
		files = append(files, txtar.File{Name: "wanted", Data: []byte(printWanted(view))})
	}
	if statuses := c.statuses(view); statuses != "" {
		files = append(files, txtar.File{Name: "status", Data: []byte(statuses)})
	}
	if c.show["diagnostics"] {
		files = append(files, txtar.File{Name: "diagnostics", Data: []byte(diagnostics(view))})
	}
	return files
}

// fingerprint is that of a certificate, each of which is another one in each run.
var fingerprint = regexp.MustCompile(` sha256=\w+`)

func (c *goldenCase) config(view translate.View) string {
	shown := view.Config()
	if !c.show["listeners"] {
		shown.Listeners = nil
	}
	if !c.show["routes"] {
		shown.Routes = nil
	}
	if !c.show["backends"] {
		shown.Backends = nil
	}
	return shown.String()
}

func (c *goldenCase) statuses(view translate.View) string {
	var b strings.Builder
	for key, s := range view.Statuses() {
		if c.show["status/"+strings.ToLower(string(key.Kind))] {
			fmt.Fprintf(&b, "%s\n", key)
			for line := range strings.Lines(s.String()) {
				b.WriteString("  " + line)
			}
		}
	}
	return b.String()
}

func diagnostics(view translate.View) string {
	var b strings.Builder
	for _, d := range view.Diagnostics() {
		fmt.Fprintf(&b, "%s %s", d.Severity, d.Object)
		if d.Field != "" {
			fmt.Fprintf(&b, " %s", d.Field)
		}
		fmt.Fprintf(&b, ": %s\n", d.Message)
		if d.Fix != "" {
			fmt.Fprintf(&b, "  fix: %s\n", d.Fix)
		}
	}
	return b.String()
}
