package file

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// find goes to the node that a field path such as spec.rules[0].filters[1] names, as
// far as there is one: for a field that is missing, to the map that lacks it. The
// key is nil at the root and at items of lists.
func find(root *yaml.Node, path string) (key, value *yaml.Node, complete bool) {
	value = root
	for path != "" {
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		nextKey, next, rest := step(value, path)
		if next == nil {
			return key, value, false
		}
		key, value, path = nextKey, next, rest
	}
	return key, value, true
}

func step(node *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	switch node.Kind {
	case yaml.SequenceNode:
		inside, rest, ok := strings.Cut(path, "]")
		index, err := strconv.Atoi(strings.TrimPrefix(inside, "["))
		if !ok || err != nil || index < 0 || index >= len(node.Content) {
			return nil, nil, ""
		}
		return nil, node.Content[index], rest
	case yaml.MappingNode:
		return stepField(node, strings.TrimPrefix(path, "."))
	default:
		return nil, nil, ""
	}
}

// stepField takes the longest name that the path begins with: the names of labels
// and annotations hold dots of their own.
func stepField(node *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	longest := -1
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		after, ok := cutField(path, name)
		if ok && len(name) > longest {
			longest = len(name)
			key, value, rest = node.Content[i], node.Content[i+1], after
		}
	}
	if value != nil {
		return key, value, rest
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if isMerge(node.Content[i]) && node.Content[i+1].Kind == yaml.AliasNode {
			return step(node.Content[i+1].Alias, path)
		}
	}
	return nil, nil, ""
}

// cutField takes a name off the front of a path, where it is a whole element.
func cutField(path, name string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, "["+name+"]"); ok {
		return rest, true
	}
	rest, ok = strings.CutPrefix(path, name)
	return rest, ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
