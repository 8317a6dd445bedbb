package file

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// verdict is what came out of the validation of one document. It depends on nothing
// but the document's text; lines count from the first of the document.
type verdict struct {
	Objects  []judged
	Findings []diagnostic.Diagnostic
	// Obscure is true if there may be objects in the document that could not be
	// made out, so that nothing can be said about what is no longer there.
	Obscure bool

	// passing is true if the document should be judged again, because the verdict is
	// about the circumstances rather than about it.
	passing bool
	// more is true if there were too many findings.
	more bool
	// uses is in how many places the document is.
	uses int
}

// judged is one object of a document.
type judged struct {
	Key snapshot.Key
	// Root is the index of the tree in the document, and Path leads from there to
	// the object: empty, or items[3] in a List.
	Root int
	Path string
	// Line and Column are where the object begins.
	Line, Column int
	// JSON is the object defaulted and pruned, in the version that Sluice uses; nil
	// if it was refused.
	JSON []byte
	// Whole and Spec name the content of JSON, and what of it is not metadata.
	Whole, Spec digest

	// object is what JSON was decoded to; nil if it was refused.
	object snapshot.Object
}

// checker holds documents to the rules. It is safe for concurrent use.
type checker struct {
	definitions definitions
}

// check judges one document. It never panics: a bug in the validation of one
// document must not hurt another one.
func (c *checker) check(doc document) (result verdict) {
	defer func() {
		if reason := recover(); reason != nil {
			result = verdict{Obscure: true, Findings: []diagnostic.Diagnostic{{
				Severity: diagnostic.Error, Line: 1, Column: 1,
				Message: fmt.Sprintf("a bug in Sluice: the validation of this document panicked: %v\n%s", reason, debug.Stack()),
				Fix:     "report it with the document",
			}}}
		}
	}()
	roots, mistake := parse(doc)
	for i, root := range roots {
		c.checkTree(root, i, &result)
	}
	if mistake != nil {
		result.Findings = append(result.Findings, *mistake)
		result.Obscure = true
	}
	if result.more {
		result.Findings = append(result.Findings, diagnostic.Diagnostic{
			Severity: diagnostic.Info, Line: 1, Column: 1,
			Message: fmt.Sprintf("only the first %d findings about this document are told", maxFindings),
		})
	}
	slices.SortStableFunc(result.Findings, func(a, b diagnostic.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return result
}

func (c *checker) checkTree(root *yaml.Node, index int, result *verdict) {
	value, problems := read(root)
	place := place{verdict: result, root: index, node: root}
	for _, p := range problems {
		place.report(diagnostic.Diagnostic{
			Severity: diagnostic.Error, Field: p.path.String(), Line: p.node.Line, Column: p.node.Column,
			Object: place.identify(value), Message: p.message, Fix: p.fix,
		})
	}
	c.checkValue(value, place, len(problems) > 0)
}

// checkValue takes Lists apart. An object with problems in itself is judged all the
// same, so that its other mistakes are told too, but refused.
func (c *checker) checkValue(value any, at place, refused bool) {
	fields, ok := value.(map[string]any)
	if !ok {
		at.obscure("a Kubernetes object is a map with apiVersion, kind and metadata, not "+aKind(value), "")
		return
	}
	kindName, _ := fields["kind"].(string)
	items, isList := fields["items"].([]any)
	if !isList || !strings.HasSuffix(kindName, "List") {
		c.checkObject(fields, at, refused)
		return
	}
	for i, item := range items {
		if object, ok := item.(map[string]any); ok && kindName != "List" {
			inherit(object, "apiVersion", fields["apiVersion"])
			inherit(object, "kind", strings.TrimSuffix(kindName, "List"))
		}
		path := field.NewPath("items").Index(i).String()
		_, node, _ := find(at.node, path)
		c.checkValue(item, place{verdict: at.verdict, root: at.root, path: join(at.path, path), node: node}, refused)
	}
}

func inherit(object map[string]any, name string, value any) {
	if _, set := object[name]; !set && value != nil {
		object[name] = value
	}
}

func join(parent, child string) string {
	if parent == "" {
		return child
	}
	return parent + "." + child
}

// nameless reports an object without a name, or with one that YAML takes for
// something else than text.
func (p place) nameless(fields map[string]any) {
	const path = "metadata.name"
	metadata, _ := fields["metadata"].(map[string]any)
	name := metadata["name"]
	if name == nil || name == "" {
		p.obscure(path+" is required: objects in files are told apart by their names", "add "+path)
		return
	}
	_, node, _ := find(p.node, path)
	p.about(diagnostic.Error, path, "must be a string, not "+aKind(name), fixType("a string", node))
	p.verdict.Obscure = true
}

func (c *checker) checkObject(fields map[string]any, at place, refused bool) {
	key, kind := at.kindOf(fields)
	if kind == nil {
		return
	}
	if key.Name == "" {
		at.key = snapshot.Key{Kind: key.Kind}
		at.nameless(fields)
		return
	}
	trial := trial{place: at, kind: kind, refused: refused}
	trial.key = key
	if kind.Core != nil {
		trial.core(fields)
	} else {
		trial.custom(fields, c.definitions.of(kind))
	}
	trial.conclude(fields)
}

// conclude adds the object to the verdict.
func (t *trial) conclude(fields map[string]any) {
	object := judged{Key: t.key, Root: t.root, Path: t.path, Line: t.node.Line, Column: t.node.Column}
	if !t.refused {
		object.JSON = mustMarshal(fields)
		object.Whole = document{Text: object.JSON}.digest()
		metadata := fields["metadata"]
		delete(fields, "metadata")
		object.Spec = document{Text: mustMarshal(fields)}.digest()
		fields["metadata"] = metadata
	}
	t.verdict.Objects = append(t.verdict.Objects, object)
}

// mustMarshal writes a value that reader made, or that came from JSON: it has
// nothing in it that JSON does not have.
func mustMarshal(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
