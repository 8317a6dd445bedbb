package file

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// place is where an object stands in a document, and the verdict that findings
// about it go to.
type place struct {
	verdict *verdict
	root    int
	path    string
	node    *yaml.Node
	key     snapshot.Key
}

// full is true if no more findings are taken. It is asked before one is made, for
// to make one costs more the larger the document is.
func (p place) full() bool {
	full := len(p.verdict.Findings) >= maxFindings
	p.verdict.more = p.verdict.more || full
	return full
}

func (p place) report(found diagnostic.Diagnostic) {
	if !p.full() {
		p.verdict.Findings = append(p.verdict.Findings, found)
	}
}

// about reports something about the object's field at a path.
func (p place) about(severity diagnostic.Severity, path string, message, fix string) {
	if p.full() {
		return
	}
	_, at, _ := find(p.node, path)
	p.report(diagnostic.Diagnostic{
		Severity: severity, Line: at.Line, Column: at.Column,
		Object: p.key, Field: path, Message: message, Fix: fix,
	})
}

// obscure reports an object that cannot be made out.
func (p place) obscure(message, fix string) {
	p.about(diagnostic.Error, "", message, fix)
	p.verdict.Obscure = true
}

// identify is the key of a value, as far as there is one.
func (p place) identify(value any) snapshot.Key {
	fields, _ := value.(map[string]any)
	kindName, _ := fields["kind"].(string)
	key := snapshot.Key{Kind: snapshot.Kind(kindName)}
	metadata, _ := fields["metadata"].(map[string]any)
	key.Name, _ = metadata["name"].(string)
	key.Namespace, _ = metadata["namespace"].(string)
	if kind := kindNamed(key.Kind); kind != nil && kind.Namespaced && key.Namespace == "" {
		key.Namespace = metav1.NamespaceDefault
	} else if kind != nil && !kind.Namespaced {
		key.Namespace = ""
	}
	return key
}

// kindOf finds the kind of an object. It reports why there is none: something is
// missing, or misspelt, or it is a kind for other programs.
func (p *place) kindOf(fields map[string]any) (snapshot.Key, *kind) {
	key := p.identify(fields)
	apiVersion, _ := fields["apiVersion"].(string)
	switch {
	case apiVersion == "" && key.Kind == "":
		p.obscure("no Kubernetes object: apiVersion and kind are missing", "")
		return key, nil
	case key.Kind == "":
		p.obscure("kind is missing", "add the kind, such as kind: HTTPRoute")
		return key, nil
	}
	p.key = key
	kind := kindNamed(key.Kind)
	if apiVersion == "" {
		p.obscure("apiVersion is missing", suggestVersion(kind))
		return key, nil
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		p.obscure(fmt.Sprintf("apiVersion %q is not of the form group/version", apiVersion), suggestVersion(kind))
		return key, nil
	}
	if kind != nil && kind.Group == gv.Group {
		return key, kind
	}
	p.unknownKind(gv, kind)
	return key, nil
}

func suggestVersion(k *kind) string {
	if k == nil {
		return "add the apiVersion, such as apiVersion: gateway.networking.k8s.io/v1"
	}
	return "apiVersion: " + k.apiVersion()
}

// unknownKind tells a mistake in a group that is Sluice's own from a kind that is
// for other programs.
func (p *place) unknownKind(gv schema.GroupVersion, sameName *kind) {
	name := string(p.key.Kind)
	meant := sameName
	if meant == nil {
		meant = similarKind(name, gv.Group)
	}
	switch {
	case ownsGroup(gv.Group) || meant != nil && sameName == nil && meant.Group == gv.Group:
		fix := ""
		if meant != nil {
			fix = fmt.Sprintf("apiVersion: %s, kind: %s", meant.apiVersion(), meant.Name)
		}
		p.obscure(fmt.Sprintf("the group %s has no kind %s", quoteGroup(gv.Group), name), fix)
	case sameName != nil:
		p.about(diagnostic.Info, "apiVersion", fmt.Sprintf("ignored: Sluice reads no %s of the group %s", name, quoteGroup(gv.Group)),
			"if the other kind of this name is meant: "+suggestVersion(sameName))
	default:
		p.about(diagnostic.Info, "kind", fmt.Sprintf("ignored: Sluice reads no objects of the kind %s", name), "")
	}
}

func quoteGroup(group string) string {
	if group == "" {
		return `"" (core)`
	}
	return group
}

func similarKind(name, group string) *kind {
	if former, ok := formerNames[name]; ok {
		return kindNamed(former)
	}
	var names []string
	for i := range kinds {
		if kinds[i].Group == group {
			names = append(names, string(kinds[i].Name))
		}
	}
	return kindNamed(snapshot.Kind(nearest(name, slices.Values(names))))
}

// aKind says in a word what a value is, as an API's documentation would.
func aKind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	default:
		return "a number"
	}
}

// lastElement is the name at the end of a field path, without indices.
func lastElement(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ := strings.Cut(path, "[")
	return name
}
