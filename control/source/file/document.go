package file

import (
	"bytes"
	"crypto/sha256"
)

// document is one YAML document of a file, or the whole of a JSON file.
type document struct {
	// Line is the number of lines in front of it in its file.
	Line int
	Text []byte
	JSON bool
}

// digest names the content of a document.
type digest [sha256.Size]byte

func (d document) digest() digest {
	hash := sha256.New()
	if d.JSON {
		hash.Write([]byte("json\x00"))
	}
	hash.Write(d.Text)
	return digest(hash.Sum(nil))
}

// split cuts a file into its documents, so that one of them can be broken without
// the others. A line that starts with "---" ends a document even inside of a block
// scalar (YAML 1.2, section 9.1.2), so no parser is needed to find it.
func split(content []byte, json bool) []document {
	if json {
		return []document{{Text: content, JSON: true}}
	}
	var documents []document
	start, startLine := 0, 0
	for at, line := 0, 0; at < len(content); line++ {
		if isSeparator(content[at:]) && !isPrologue(content[start:at]) {
			documents = append(documents, document{Line: startLine, Text: content[start:at]})
			start, startLine = at, line
		}
		end := bytes.IndexByte(content[at:], '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	if rest := content[start:]; !isPrologue(rest) {
		documents = append(documents, document{Line: startLine, Text: rest})
	}
	return documents
}

func isSeparator(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// isPrologue is true of lines that stand in front of the separator of the document
// that they belong to: blank lines, comments and directives.
func isPrologue(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}
