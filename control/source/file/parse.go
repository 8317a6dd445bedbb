package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// parse reads a document into trees of nodes, which know their positions. There is
// one for each object that stands at the top: more than one if "..." ends the first
// in YAML, or if values follow each other in JSON. Where it cannot be read, the
// trees in front of the mistake are returned with it.
func parse(doc document) ([]*yaml.Node, *diagnostic.Diagnostic) {
	if len(doc.Text) > maxDocument {
		return nil, &diagnostic.Diagnostic{
			Severity: diagnostic.Error, Line: 1, Column: 1,
			Message: fmt.Sprintf("the document has %d bytes; the limit is %d", len(doc.Text), maxDocument),
			Fix:     "split it into several documents",
		}
	}
	if doc.JSON {
		return parseJSON(doc.Text)
	}
	return parseYAML(doc.Text)
}

func parseYAML(text []byte) ([]*yaml.Node, *diagnostic.Diagnostic) {
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var root yaml.Node
		switch err := decoder.Decode(&root); {
		case errors.Is(err, io.EOF):
			return roots, nil
		case err != nil:
			return roots, yamlError(err, text)
		}
		if content := root.Content[0]; content.ShortTag() != "!!null" {
			roots = append(roots, content)
		}
	}
}

// yamlLine finds the line in the text of a YAML parser's error, its only carrier.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

func yamlError(err error, doc []byte) *diagnostic.Diagnostic {
	found := &diagnostic.Diagnostic{
		Severity: diagnostic.Error, Line: 1, Column: 1,
		Fix: "mend the YAML; until then nothing in this document is read",
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		found.Line, _ = strconv.Atoi(match[1])
		text = text[len(match[0]):]
	}
	if strings.HasPrefix(text, "unknown anchor") {
		// The parser names it, but what was meant as text may be a password.
		text = "a value that begins with * refers to an anchor, and there is none of that name"
		found.Fix = "quote the value, if the * is the beginning of it"
	}
	found.Message = "not valid YAML: " + text
	if indentsWithTab(doc, found.Line) {
		found.Fix = "indent with spaces: YAML allows no tabs"
	}
	return found
}

func indentsWithTab(doc []byte, line int) bool {
	for text := range bytes.Lines(doc) {
		if line--; line == 0 {
			return bytes.HasPrefix(bytes.TrimLeft(text, " "), []byte("\t"))
		}
	}
	return false
}
