package file

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reader turns nodes into the values that JSON would give: map[string]any, []any,
// string, int64, float64, bool and nil, as the API server's decoder does.
type reader struct {
	values   int
	problems []problem
}

// problem is a mistake at a node.
type problem struct {
	node         *yaml.Node
	path         *field.Path
	message, fix string
}

// read returns the value of a tree and what is wrong with it in itself: fields that
// are set twice, and values that JSON does not have.
func read(root *yaml.Node) (any, []problem) {
	var r reader
	return r.value(root, nil, 0), r.problems
}

func (r *reader) fail(node *yaml.Node, path *field.Path, fix, format string, args ...any) {
	if len(r.problems) < maxFindings {
		r.problems = append(r.problems, problem{node, path, fmt.Sprintf(format, args...), fix})
	}
}

func (r *reader) value(node *yaml.Node, path *field.Path, depth int) any {
	switch r.values++; {
	case r.values == maxValues:
		r.fail(node, path, "repeat less by aliases", "the document stands for more than %d values", maxValues)
		return nil
	case r.values > maxValues:
		return nil
	case depth > maxDepth:
		r.fail(node, path, "", "nested deeper than %d levels", maxDepth)
		return nil
	}
	switch node.Kind {
	case yaml.MappingNode:
		return r.mapping(node, path, depth)
	case yaml.SequenceNode:
		return r.sequence(node, path, depth)
	case yaml.AliasNode:
		return r.value(node.Alias, path, depth+1)
	default:
		return r.scalar(node, path)
	}
}

func (r *reader) sequence(node *yaml.Node, path *field.Path, depth int) []any {
	items := make([]any, len(node.Content))
	for i, item := range node.Content {
		items[i] = r.value(item, path.Index(i), depth+1)
	}
	return items
}

func (r *reader) mapping(node *yaml.Node, path *field.Path, depth int) map[string]any {
	fields := make(map[string]any, len(node.Content)/2)
	var merged []*yaml.Node
	lines := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if isMerge(key) {
			merged = append(merged, value)
			continue
		}
		name, ok := r.key(key, path)
		if !ok {
			continue
		}
		if first, twice := lines[name]; twice {
			r.fail(key, path.Child(name), "keep one of the two", "%q is set twice; the first is %s", name, above(key.Line-first))
			continue
		}
		lines[name] = key.Line
		fields[name] = r.value(value, path.Child(name), depth+1)
	}
	for _, value := range merged {
		r.merge(fields, value, path, depth+1)
	}
	return fields
}

// above says where something is by its distance, because the number of a line in
// its file is not known here.
func above(lines int) string {
	switch lines {
	case 0:
		return "on the same line"
	case 1:
		return "one line above"
	default:
		return fmt.Sprintf("%d lines above", lines)
	}
}

// merge adds the fields of a "<<" key that the map does not set itself.
func (r *reader) merge(fields map[string]any, from *yaml.Node, path *field.Path, depth int) {
	var parts []any
	switch value := r.value(from, path, depth).(type) {
	case []any:
		parts = value
	default:
		parts = []any{value}
	}
	for _, part := range parts {
		source, ok := part.(map[string]any)
		if !ok {
			r.fail(from, path, "", `"<<" merges maps only`)
			return
		}
		for name, value := range source {
			if _, set := fields[name]; !set {
				fields[name] = value
			}
		}
	}
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge"
}

func (r *reader) key(key *yaml.Node, path *field.Path) (string, bool) {
	if key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		r.fail(key, path, "", "a field's name must be a string")
		return "", false
	}
	switch value := r.scalar(key, path).(type) {
	case string:
		return value, true
	case nil:
		r.fail(key, path, `quote it: "null"`, "a field's name must be a string, not null")
		return "", false
	default:
		return fmt.Sprint(value), true
	}
}

func (r *reader) scalar(node *yaml.Node, path *field.Path) any {
	switch node.ShortTag() {
	case "!!str", "!!timestamp":
		if word, ok := bareBool(node); ok {
			return word
		}
		return node.Value
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true")
	case "!!int":
		return r.integer(node, path)
	case "!!float":
		return r.float(node, path)
	case "!!binary":
		return r.binary(node, path)
	default:
		// What was meant as text may be a password.
		r.fail(node, path, "remove the tag; or quote the value, if the ! is the beginning of it", "this YAML tag has no meaning here")
		return nil
	}
}

// bareBool is true of the unquoted words that YAML 1.1 takes for booleans. Kubernetes
// reads YAML 1.1, so a header value of a bare "on" is refused there, and here.
func bareBool(node *yaml.Node) (value, ok bool) {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	if node.Style&quoted != 0 {
		return false, false
	}
	switch node.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

func (r *reader) integer(node *yaml.Node, path *field.Path) any {
	var integer int64
	if node.Decode(&integer) == nil {
		return integer
	}
	return r.float(node, path)
}

func (r *reader) float(node *yaml.Node, path *field.Path) any {
	float, err := strconv.ParseFloat(node.Value, 64)
	if err != nil {
		err = node.Decode(&float)
	}
	if err != nil || math.IsInf(float, 0) || math.IsNaN(float) {
		r.fail(node, path, "quote it, if it is text", "JSON can hold no such number")
		return nil
	}
	return float
}

func (r *reader) binary(node *yaml.Node, path *field.Path) any {
	text, err := base64.StdEncoding.DecodeString(node.Value)
	if err != nil {
		r.fail(node, path, "", "!!binary must be base64: %v", err)
		return nil
	}
	return string(text)
}
