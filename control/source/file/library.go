package file

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// library holds the files of a Source, with a verdict on each of their documents.
type library struct {
	paths     []string
	stdin     io.Reader
	validator validator

	files map[string]*content // by path
	// restless are the paths of the files that every refresh looks at.
	restless map[string]bool
	// held is the size of all texts whose documents are held, in bytes.
	held int64
	// verdicts are those on the documents that are in the files now. A document
	// that did not change costs nothing, wherever it moved.
	verdicts map[digest]*verdict
}

// rescan says what a refresh has to look at beyond what the file system's times say.
type rescan struct {
	// all reads every file again.
	all bool
	// named are paths without links: what is there is read again.
	named map[string]bool
	// only are the paths of the files to look at, if partial is true.
	only    []string
	partial bool
	// now is the time; a file that is gone or empty is believed to be so after grace.
	now time.Time
	// believe takes files as they are at once.
	believe bool
}

// suspects is true if a file may not be what it was when it was last read.
func (s *rescan) suspects(file *content, entry *listed) bool {
	if file.text != nil {
		return false // there is nothing more to read
	}
	return s.all || s.named[entry.real] || file.isRestless() || !sameFile(file.info, entry.info)
}

// refresh brings the library in step with a listing. It returns the files that may
// differ, among them those that the library holds no longer, which are then empty.
func (l *library) refresh(ctx context.Context, found *listing, scan rescan) ([]*content, error) {
	if l.files == nil {
		l.files, l.restless, l.verdicts = map[string]*content{}, map[string]bool{}, map[digest]*verdict{}
	}
	var changed []*content
	pending := &batch{memo: l.verdicts}
	for _, path := range l.places(found, scan) {
		if file := l.look(ctx, path, found, scan, pending); file != nil {
			changed = append(changed, file)
		}
	}
	if err := pending.judge(ctx, l.validator); err != nil {
		return nil, err
	}
	pending.forget()
	return changed, nil
}

// places are the paths to look at, in order.
func (l *library) places(found *listing, scan rescan) []string {
	all := append(slices.Collect(maps.Keys(l.restless)), scan.only...)
	if !scan.partial {
		all = slices.AppendSeq(slices.Collect(maps.Keys(l.files)), maps.Keys(found.files))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// look brings one file in step with the listing. It returns it if it may differ.
func (l *library) look(ctx context.Context, path string, found *listing, scan rescan, pending *batch) *content {
	file, entry := l.files[path], found.files[path]
	if file == nil && entry == nil {
		return nil // it came and went
	}
	if file == nil {
		file = &content{}
		l.files[path] = file
	}
	wasGone, was := file.gone, file.position
	changed := false
	switch {
	case entry != nil:
		changed = l.readIfStale(ctx, file, entry, scan, pending)
	case !file.lingers(found, scan):
		l.drop(file, pending)
		changed = true
	}
	delete(l.restless, path)
	if file.isRestless() {
		l.restless[path] = true
	}
	if !changed && file.gone == wasGone && file.position == was {
		return nil
	}
	return file
}

// readIfStale reads one file if it may have changed. It is true if it did.
func (l *library) readIfStale(ctx context.Context, file *content, entry *listed, scan rescan, pending *batch) bool {
	stale := scan.suspects(file, entry)
	file.gone, file.position, file.info = false, entry.position, entry.info
	if !stale {
		return false
	}
	text, err := file.load(ctx, l.stdin, maxTotal-(l.held-file.size))
	if err != nil {
		file.fail(err)
		return true
	}
	file.problem = nil
	if isBlank(text) && file.doubt(scan) {
		return true
	}
	file.doubted = time.Time{}
	pending.drop(file.documents)
	file.documents = pending.add(split(text, isJSON(file.path)))
	l.hold(file, int64(len(text)))
	return true
}

// drop has a file that is gone hold nothing.
func (l *library) drop(file *content, pending *batch) {
	pending.drop(file.documents)
	l.hold(file, 0)
	*file = content{position: file.position, gone: true}
	delete(l.files, file.path)
}

func (l *library) hold(file *content, size int64) {
	l.held += size - file.size
	file.size = size
}

// isRestless is true of a file that every refresh looks at.
func (c *content) isRestless() bool { return c.problem != nil || !c.doubted.IsZero() }

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

// doubtful is true if some file is gone or empty, but not for long enough.
func (l *library) doubtful() bool {
	for path := range l.restless {
		if !l.files[path].doubted.IsZero() {
			return true
		}
	}
	return false
}

// nothing says that there are no objects, if that is so.
func (l *library) nothing() (d diagnostic.Diagnostic, found bool) {
	d.Severity = diagnostic.Warning
	if len(l.files) == 0 {
		d.Message = "there are no files with objects under the given paths"
		d.Fix = "name files, or directories with .yaml, .yml or .json files"
		return d, true
	}
	for _, file := range l.files {
		if file.problem != nil || slices.ContainsFunc(file.documents, filed.matters) {
			return d, false
		}
	}
	d.Message = "there are no objects in what was read"
	d.Fix = "see whether what writes them has failed"
	return d, true
}

// matters is true of a document in which there is something, good or bad.
func (f filed) matters() bool { return len(f.verdict.Objects) > 0 || len(f.verdict.Findings) > 0 }

// batch collects the documents that have to be judged, and those that are gone.
type batch struct {
	memo      map[digest]*verdict
	documents []document
	verdicts  []*verdict
	digests   []digest
	dropped   []filed
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
	known := b.memo[name]
	if known == nil {
		known = &verdict{}
		b.memo[name] = known
		b.documents = append(b.documents, doc)
		b.verdicts = append(b.verdicts, known)
		b.digests = append(b.digests, name)
	}
	known.uses++
	return known
}

func (b *batch) drop(documents []filed) { b.dropped = append(b.dropped, documents...) }

// forget drops the verdicts on documents that are in no file any more, or that are
// to be judged again.
func (b *batch) forget() {
	for _, document := range b.dropped {
		document.verdict.uses--
		if document.verdict.uses == 0 && b.memo[document.digest] == document.verdict {
			delete(b.memo, document.digest)
		}
	}
	for i, v := range b.verdicts {
		if v.passing {
			delete(b.memo, b.digests[i])
		}
	}
}

// judge has all collected documents judged.
func (b *batch) judge(ctx context.Context, by validator) error {
	if len(b.documents) == 0 {
		return ctx.Err()
	}
	return by.validate(ctx, b.documents, func(i int, v verdict) {
		v.decode()
		v.uses = b.verdicts[i].uses
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
