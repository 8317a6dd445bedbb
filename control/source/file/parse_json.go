package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// jsonParser builds the nodes that a YAML parser would build. JSON is not quite a
// subset of YAML: escaped surrogate pairs and tabs are JSON's own.
type jsonParser struct {
	text    []byte
	decoder *json.Decoder
	lines   []int // offsets at which lines begin
}

var errTooDeep = fmt.Errorf("nested deeper than %d levels", maxDepth)

func parseJSON(text []byte) ([]*yaml.Node, *diagnostic.Diagnostic) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as editors on Windows begin a file
	p := &jsonParser{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), lines: []int{0}}
	p.decoder.UseNumber()
	for i, b := range text {
		if b == '\n' {
			p.lines = append(p.lines, i+1)
		}
	}
	var roots []*yaml.Node
	for {
		root, err := p.node(0)
		switch {
		case errors.Is(err, io.EOF):
			return roots, nil
		case err != nil:
			return roots, p.failure(err)
		}
		roots = append(roots, root)
	}
}

// node reads one value.
func (p *jsonParser) node(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	line, column := p.position(p.nextToken())
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: line, Column: column}
	switch token := token.(type) {
	case json.Delim:
		return node, p.children(node, token, depth)
	case string:
		node.Tag, node.Value, node.Style = "!!str", token, yaml.DoubleQuotedStyle
	case json.Number:
		node.Tag, node.Value = "!!int", token.String()
		if strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!float"
		}
	case bool:
		node.Tag, node.Value = "!!bool", fmt.Sprint(token)
	case nil:
		node.Tag, node.Value = "!!null", "null"
	}
	return node, nil
}

func (p *jsonParser) children(node *yaml.Node, open json.Delim, depth int) error {
	node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		node.Kind, node.Tag = yaml.MappingNode, "!!map"
	}
	for p.decoder.More() {
		child, err := p.node(depth + 1)
		if err != nil {
			return truncated(err)
		}
		node.Content = append(node.Content, child)
	}
	_, err := p.decoder.Token() // the closing delimiter
	return truncated(err)
}

// truncated keeps an end in the middle of a value apart from one between values.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextToken is the offset of the token that the decoder has not read yet.
func (p *jsonParser) nextToken() int {
	at := int(p.decoder.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	return at
}

// position is the line and the column, from 1, of an offset.
func (p *jsonParser) position(offset int) (line, column int) {
	line, exact := slices.BinarySearch(p.lines, offset)
	if exact {
		line++
	}
	return line, offset - p.lines[line-1] + 1
}

// failure is at the value or the sign that the decoder stopped at. The offset of its
// own errors counts only part of what it has read.
func (p *jsonParser) failure(err error) *diagnostic.Diagnostic {
	offset := p.nextToken()
	line, column := p.position(offset)
	fix := "mend the JSON; until then nothing in this document is read"
	if bytes.HasPrefix(p.text[offset:], []byte("/")) {
		fix = "JSON has no comments: remove it, or write the objects as YAML"
	}
	return &diagnostic.Diagnostic{
		Severity: diagnostic.Error, Line: line, Column: column,
		Message: "not valid JSON: " + err.Error(),
		Fix:     fix,
	}
}
