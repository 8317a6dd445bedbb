package file

import (
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Locate is where a field of an object is written: the field itself, or what is
// nearest to it if it is not written. The file is empty for objects that are in no
// file. Nothing of the files is kept in memory, so they are read again.
func (s *Source) Locate(key snapshot.Key, field string) (file string, line, column int) {
	s.mu.Lock()
	found := s.inForce[key]
	s.mu.Unlock()
	if found == nil || found.origin == (origin{}) {
		return "", 0, 0
	}
	at := found.origin
	if node := s.reread(at); node != nil {
		_, value, _ := find(node, field)
		return at.file, at.documentLine + value.Line, value.Column
	}
	return at.file, at.line, at.column
}

// Place adds to a diagnostic about an object where it is written, unless it says so.
func (s *Source) Place(d diagnostic.Diagnostic) diagnostic.Diagnostic {
	if d.File == "" {
		d.File, d.Line, d.Column = s.Locate(d.Object, d.Field)
	}
	return d
}

// Locate is where a field of an object is written, see Source.Locate.
func (c *Contents) Locate(key snapshot.Key, field string) (file string, line, column int) {
	return c.source.Locate(key, field)
}

// Place adds to a diagnostic about an object where it is written, unless it says so.
func (c *Contents) Place(d diagnostic.Diagnostic) diagnostic.Diagnostic { return c.source.Place(d) }

// reread returns the node of an object; nil if it is not there any more.
func (s *Source) reread(at origin) *yaml.Node {
	text := s.text(at.file)
	for _, doc := range split(text, isJSON(at.file)) {
		if doc.Line != at.documentLine {
			continue
		}
		roots, _ := parse(doc)
		if at.root >= len(roots) {
			return nil
		}
		if _, node, complete := find(roots[at.root], at.path); complete {
			return node
		}
	}
	return nil
}

// text is the content of a file, as far as it is there.
func (s *Source) text(path string) []byte {
	s.mu.Lock()
	text, ok := s.once[path]
	s.mu.Unlock()
	if ok {
		return text
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, _ = io.ReadAll(io.LimitReader(file, maxTotal))
	return text
}
