package file

import (
	"iter"
	"maps"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// nearest is the name among the known ones that was probably meant; empty if none
// is near. It is the same one whatever their order.
func nearest(name string, known iter.Seq[string]) string {
	best, bestDistance := "", len(name)/3+1
	for candidate := range known {
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d < bestDistance || d == bestDistance && best != "" && candidate < best {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is how many letters must be added, removed or changed (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
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
