package file

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// library holds the files of a Source, with a verdict on each of their documents.
type library struct {
	paths     []string
	stdin     io.Reader
	validator validator

	// files are in the order of the listing.
	files    []*content
	problems []diagnostic.Diagnostic
	// verdicts are those on the documents that are in the files now. A document
	// that did not change costs nothing, wherever it moved.
	verdicts map[digest]*verdict
}

// rescan says what a refresh has to look at beyond what the file system's times say.
type rescan struct {
	// all reads every file again.
	all bool
	// named reads the files of these paths, without links, again.
	named map[string]bool
	// now is the time; a file that is gone or empty is believed to be so after grace.
	now time.Time
	// believe takes files as they are at once.
	believe bool
}

// suspects is true if a file may not be what it was when it was last read.
func (s *rescan) suspects(file *content, entry listed) bool {
	if file.text != nil {
		return false // there is nothing more to read
	}
	return s.all || s.named[entry.real] || file.problem != nil || !file.doubted.IsZero() || !sameFile(file.info, entry.info)
}

// refresh brings the library in step with a listing. It is true if some file is gone
// or empty, but not for long enough.
func (l *library) refresh(ctx context.Context, found *listing, scan rescan) (doubtful bool, err error) {
	known := make(map[string]*content, len(l.files))
	for _, file := range l.files {
		known[file.path] = file
	}
	var files []*content
	pending := &batch{memo: l.verdicts}
	budget := int64(maxTotal)
	for _, entry := range found.files {
		file := known[entry.path]
		delete(known, entry.path)
		if file == nil {
			file = &content{path: entry.path}
		}
		l.refreshFile(file, entry, scan, budget, pending)
		budget -= size(entry)
		files = append(files, file)
	}
	for _, file := range l.files {
		if known[file.path] != nil && file.lingers(found, scan) {
			files = append(files, file)
		}
	}
	if err := pending.judge(ctx, l.validator); err != nil {
		return false, err
	}
	l.files, l.problems = files, found.problems
	l.forget()
	return l.doubtful(), nil
}

func size(entry listed) int64 {
	if entry.info == nil {
		return 0
	}
	return entry.info.Size()
}

// refreshFile reads one file if it may have changed.
func (l *library) refreshFile(file *content, entry listed, scan rescan, budget int64, pending *batch) {
	stale := scan.suspects(file, entry)
	file.gone, file.real, file.info = false, entry.real, entry.info
	if !stale {
		return
	}
	text, err := file.load(l.stdin, max(0, budget))
	if err != nil {
		file.fail(err)
		return
	}
	file.problem = nil
	if isBlank(text) && file.doubt(scan) {
		return
	}
	file.doubted = time.Time{}
	file.documents = pending.add(split(text, isJSON(file.path)))
}

// doubt is true while a file that lost its objects should keep them.
func (c *content) doubt(scan rescan) bool {
	if len(c.documents) == 0 || scan.believe {
		return false
	}
	if c.doubted.IsZero() {
		c.doubted = scan.now
	}
	return scan.now.Sub(c.doubted) < grace
}

// lingers is true while a file that is not listed any more should be kept.
func (c *content) lingers(found *listing, scan rescan) bool {
	c.gone = true
	if found.hides(c.path) {
		c.doubted = time.Time{}
		return true
	}
	return c.doubt(scan)
}

func (l *library) doubtful() bool {
	for _, file := range l.files {
		if !file.doubted.IsZero() {
			return true
		}
	}
	return false
}

// forget drops the verdicts on documents that are in no file any more.
func (l *library) forget() {
	verdicts := make(map[digest]*verdict, len(l.verdicts))
	for _, file := range l.files {
		for _, document := range file.documents {
			if !document.verdict.passing {
				verdicts[document.digest] = document.verdict
			}
		}
	}
	l.verdicts = verdicts
}

// batch collects the documents that have to be judged.
type batch struct {
	memo      map[digest]*verdict
	documents []document
	verdicts  []*verdict
	index     map[digest]*verdict
}

// add files documents, with verdicts that judge fills in.
func (b *batch) add(documents []document) []filed {
	added := make([]filed, len(documents))
	for i, doc := range documents {
		name := doc.digest()
		added[i] = filed{line: doc.Line, digest: name, verdict: b.verdict(name, doc)}
	}
	return added
}

func (b *batch) verdict(name digest, doc document) *verdict {
	if known := b.memo[name]; known != nil {
		return known
	}
	if waiting := b.index[name]; waiting != nil {
		return waiting
	}
	if b.index == nil {
		b.index = map[digest]*verdict{}
	}
	waiting := &verdict{}
	b.index[name] = waiting
	b.documents = append(b.documents, doc)
	b.verdicts = append(b.verdicts, waiting)
	return waiting
}

// judge has all collected documents judged.
func (b *batch) judge(ctx context.Context, by validator) error {
	if len(b.documents) == 0 {
		return nil
	}
	return by.validate(ctx, b.documents, func(i int, v verdict) {
		v.decode()
		*b.verdicts[i] = v
	})
}

// decode makes objects of what the validator wrote.
func (v *verdict) decode() {
	for i := range v.Objects {
		object := &v.Objects[i]
		if object.JSON == nil {
			continue
		}
		decoded := kindNamed(object.Key.Kind).New()
		if err := json.Unmarshal(object.JSON, decoded); err != nil {
			v.Findings = append(v.Findings, diagnostic.Diagnostic{
				Severity: diagnostic.Error, Line: object.Line, Column: object.Column, Object: object.Key,
				Message: fmt.Sprintf("a bug in Sluice: the validated object cannot be decoded: %v", err), Fix: "report it with the document",
			})
		} else {
			object.object = decoded
		}
		object.JSON = nil
	}
}
