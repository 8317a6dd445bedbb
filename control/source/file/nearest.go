package file

import (
	"iter"
	"maps"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// longestName bounds what is compared letter by letter: no field has a longer name.
const longestName = 64

// nearest is the name among the known ones that was probably meant; empty if none
// is near. It is the same one whatever their order.
func nearest(name string, known iter.Seq[string]) string {
	if len(name) > longestName {
		return ""
	}
	best, bestDistance := "", len(name)/3+1
	for candidate := range known {
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d < bestDistance || d == bestDistance && best != "" && candidate < best {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, changed, or swapped with
// their neighbour (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
				continue
			}
			d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], 1+d[i-2][j-2])
			}
		}
	}
	return d[len(a)][len(b)]
}

// fixUnknown says where an unknown field was probably meant to be: under a similar
// name, or further out or in, for that is how mistakes of indentation look.
func fixUnknown(path string, root *structuralschema.Structural) string {
	name := lastElement(path)
	chain := schemasAlong(path, root)
	parent := chain[len(chain)-1]
	for i := len(chain) - 2; i >= 0; i-- {
		if _, ok := chain[i].schema.Properties[name]; ok {
			return "move it out: it belongs to " + orElse(chain[i].path, "the object itself")
		}
	}
	for _, child := range sortedKeys(parent.schema.Properties) {
		below := parent.schema.Properties[child]
		if _, ok := itemOf(&below).Properties[name]; ok {
			return "move it in: it belongs to " + join(parent.path, child)
		}
	}
	return didYouMean(name, maps.Keys(parent.schema.Properties))
}

// level is the schema of an element of a path.
type level struct {
	path   string
	schema *structuralschema.Structural
}

// schemasAlong are the schemas from the root to the parent of the path's last element.
func schemasAlong(path string, root *structuralschema.Structural) []level {
	chain := []level{{"", root}}
	elements := strings.Split(path, ".")
	for _, element := range elements[:len(elements)-1] {
		above := chain[len(chain)-1]
		name, _, _ := strings.Cut(element, "[")
		schema, ok := above.schema.Properties[name]
		if !ok {
			break
		}
		chain = append(chain, level{join(above.path, element), itemOf(&schema)})
	}
	return chain
}

// itemOf is the schema of the items of a list, or the schema itself.
func itemOf(schema *structuralschema.Structural) *structuralschema.Structural {
	if schema.Items != nil {
		return schema.Items
	}
	return schema
}
