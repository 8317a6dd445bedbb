package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/examples/trial"
)

var (
	// reasonName finds the names of constants that are reasons of conditions: what
	// the condition is about, and the reason.
	reasonName = regexp.MustCompile(`^(\w*)Reason([A-Z]\w+)$`)
	reasonType = regexp.MustCompile(`^(\w*?)(?:Condition)?Reason$`)
	// fine are reasons of conditions that say that all is well.
	fine = regexp.MustCompile(`^(Accepted|Programmed|ResolvedRefs|NoConflicts|SupportedVersion)$`)
	// failure finds the words that the data plane gives to failures.
	failure = regexp.MustCompile(`\{\d+, "(\w+)"\}`)
)

// sections are those of the page with the reasons of a kind's conditions.
var sections = map[string]string{
	"GatewayClass": "### GatewayClass", "Gateway": "### Gateway", "Listener": "### Listener",
	"ListenerSet": "### ListenerSet", "Route": "### Route", "Backend": "### Other kinds",
}

// reason is one that conditions of a kind can have. The kind is empty where the
// source does not say it.
type reason struct{ kind, word string }

// TestReasons holds that each reason that a condition can have is explained where
// a reader looks for it, and no other.
func TestReasons(t *testing.T) {
	page := text(t, "troubleshooting.md")
	byCondition := section(page, "## By condition")
	written := map[string]bool{}
	for _, root := range []string{"control", "api/v1alpha1"} {
		inspect(t, root, func(file string, node ast.Node) {
			r := reasonOf(node)
			if r.word == "" {
				return
			}
			written[r.word] = true
			where := byCondition
			if heading := sections[r.kind]; heading != "" {
				where = section(page, heading)
			}
			if !fine.MatchString(r.word) && !slices.Contains(reasonsIn(where), r.word) {
				t.Errorf("troubleshooting.md has no row for reason %s of a %s, which is in %s", r.word, r.kind, file)
			}
		})
	}
	for _, word := range reasonsIn(byCondition) {
		if !written[word] {
			t.Errorf("troubleshooting.md explains reason %s, which nothing writes", word)
		}
	}
}

// reasonOf is the reason that a piece of source names, however it does.
func reasonOf(node ast.Node) reason {
	switch n := node.(type) {
	case *ast.SelectorExpr: // gatewayv1.RouteReasonPending
		match := reasonName.FindStringSubmatch(n.Sel.Name)
		if name := nameOf(n.X); match != nil && (name == "gatewayv1" || name == "v1alpha1") {
			return reason{match[1], match[2]}
		}
	case *ast.ValueSpec: // const refused gatewayv1.RouteConditionReason = "Refused"
		if len(n.Values) != 1 {
			return reason{}
		}
		if match := reasonName.FindStringSubmatch(n.Names[0].Name); match != nil {
			return reason{match[1], literal(n.Values[0])}
		}
		return reason{kindOf(n.Type), literalIf(kindOf(n.Type) != "", n.Values[0])}
	case *ast.KeyValueExpr: // problem{reason: "Refused"}
		return reason{"", literalIf(nameOf(n.Key) == "reason", n.Value)}
	case *ast.CallExpr: // status.False(accepted, "Refused", message), and conversions
		if kind := kindOf(n.Fun); kind != "" && len(n.Args) == 1 {
			return reason{kind, literal(n.Args[0])}
		}
		called, ok := n.Fun.(*ast.SelectorExpr)
		if ok && len(n.Args) == 3 && slices.Contains([]string{"True", "False", "Unknown"}, called.Sel.Name) {
			return reason{"", literal(n.Args[1])}
		}
	}
	return reason{}
}

// kindOf is "Route" of the type gatewayv1.RouteConditionReason.
func kindOf(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if match := reasonType.FindStringSubmatch(s.Sel.Name); match != nil {
			return match[1]
		}
	}
	return ""
}

// reasonsIn are the words in the column of that name of all tables in a text.
func reasonsIn(text string) (words []string) {
	column := -1
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) == 1:
			column = -1
		case column < 0:
			column = slices.Index(cells, "reason")
		case !strings.HasPrefix(cells[1], "---") && cells[column] != "":
			words = append(words, strings.Split(cells[column], ", ")...)
		}
	}
	return words
}

// section is what stands below a heading, to the next of its level or above.
func section(page, heading string) string {
	_, below, _ := strings.Cut(page, "\n"+heading+"\n")
	level := len(heading) - len(strings.TrimLeft(heading, "#"))
	end := regexp.MustCompile(`(?m)^#{1,` + strconv.Itoa(level) + `} `).FindStringIndex(below)
	if end != nil {
		below = below[:end[0]]
	}
	return below
}

// TestLogMessages holds that each warning and each error of the program's log is
// explained.
func TestLogMessages(t *testing.T) {
	page := section(text(t, "troubleshooting.md"), "## By what the log says")
	found := 0
	for _, root := range []string{"cli", "control", "proxy"} {
		inspect(t, root, func(file string, node ast.Node) {
			for _, message := range messagesOf(file, node) {
				found++
				if !strings.Contains(page, message) {
					t.Errorf("troubleshooting.md does not explain the message %q, which is in %s", message, file)
				}
			}
		})
	}
	if found == 0 {
		t.Error("no message was found")
	}
}

// messagesOf are the messages that a piece of source logs as warnings or errors,
// or has a source of objects say in diagnostics, which are logged too.
func messagesOf(file string, node ast.Node) []string {
	switch n := node.(type) {
	case *ast.CallExpr:
		called, ok := n.Fun.(*ast.SelectorExpr)
		switch {
		case !ok:
		case logger.MatchString(nameOf(called.X)) && (called.Sel.Name == "Warn" || called.Sel.Name == "Error"):
			return fixedParts(n.Args[0])
		case len(n.Args) > 1 && called.Sel.Name == "say":
			return fixedParts(n.Args[1])
		}
	case *ast.KeyValueExpr:
		if nameOf(n.Key) == "Message" && strings.HasPrefix(file, "control/source/kube/") {
			return fixedParts(n.Value)
		}
	case *ast.AssignStmt:
		if nameOf(n.Lhs[0]) == "message" && n.Tok != token.ADD_ASSIGN && strings.HasPrefix(file, "control/source/kube/") {
			return fixedParts(n.Rhs[0])
		}
	}
	return nil
}

// logger finds the names of loggers.
var logger = regexp.MustCompile(`(?i)log$`)

// nameOf is "Log" of the expression o.Log, and of Log.
func nameOf(e ast.Expr) string {
	switch n := e.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return n.Sel.Name
	}
	return ""
}

var verb = regexp.MustCompile(`%\w`)

// fixedParts are the literals in an expression; of a format the parts between its
// verbs, but for the shortest.
func fixedParts(e ast.Expr) (parts []string) {
	ast.Inspect(e, func(node ast.Node) bool {
		l, ok := node.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return true
		}
		for _, part := range verb.Split(literal(l), -1) {
			if part = strings.Trim(part, " :"); len(part) > 6 {
				parts = append(parts, part)
			}
		}
		return true
	})
	return parts
}

// TestFailures holds that each word that a failure can have is explained.
func TestFailures(t *testing.T) {
	page, found := text(t, "access-log.md"), failure.FindAllStringSubmatch(text(t, "../proxy/failure.go"), -1)
	if len(found) == 0 {
		t.Fatal("no word was found")
	}
	for _, match := range found {
		word := match[1]
		rest, isConnect := strings.CutPrefix(word, "upstream_connect") // these share a row
		if !strings.Contains(page, "`"+word+"`") && !(isConnect && strings.Contains(page, "`"+rest+"`")) {
			t.Errorf("access-log.md does not explain %s", word)
		}
	}
}

// inspect visits the source in the Go files at or below root.
func inspect(t *testing.T, root string, visit func(file string, node ast.Node)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(trial.Root()), root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text(t, "../"+name), parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			visit(name, node)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// literal is the text of a string literal; empty if it is none.
func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	value, _ := strconv.Unquote(l.Value)
	return value
}

func literalIf(condition bool, e ast.Expr) string {
	if !condition {
		return ""
	}
	return literal(e)
}

func text(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
