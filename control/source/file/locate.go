package file

import (
	"io/fs"
	"os"
	"slices"
	"weak"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Locate is where a field of an object is written: the field itself, or what is
// nearest to it if it is not written. The file is empty for objects that are in no
// file. Nothing of the files is kept in memory, so they are read again.
func (s *Source) Locate(key snapshot.Key, field string) (file string, line, column int) {
	s.mu.Lock()
	var found *entry
	if record := s.ledger.records[key]; record != nil {
		found = record.inForce
	}
	s.mu.Unlock()
	if !found.isWritten() {
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

// reading is a file as it was read last. Many diagnostics are about the same file,
// so it is kept, but only until the garbage collector comes along.
type reading struct {
	path      string
	info      fs.FileInfo
	documents []document
}

// reread returns the node of an object; nil if it is not there any more.
func (s *Source) reread(at origin) *yaml.Node {
	documents := s.read(at.file)
	i, found := slices.BinarySearchFunc(documents, at.documentLine, func(d document, line int) int { return d.Line - line })
	if !found {
		return nil
	}
	roots, _ := parse(documents[i])
	if at.root >= len(roots) {
		return nil
	}
	_, node, complete := find(roots[at.root], at.path)
	if !complete {
		return nil
	}
	return node
}

// read returns the documents of a file, as far as it is there.
func (s *Source) read(path string) []document {
	s.mu.Lock()
	text, ok := s.once[path]
	s.mu.Unlock()
	if ok {
		return split(text, isJSON(path))
	}
	s.rereading.Lock()
	defer s.rereading.Unlock()
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil // a pipe holds nothing any more
	}
	if recent := s.recent.Value(); recent != nil && recent.path == path && sameFile(recent.info, info) {
		return recent.documents
	}
	text, err = readUpTo(path, nil, maxTotal)
	if err != nil {
		return nil
	}
	next := &reading{path: path, info: info, documents: split(text, isJSON(path))}
	s.recent = weak.Make(next)
	return next.documents
}
