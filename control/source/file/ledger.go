package file

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// ledger plays the API server's part: it knows which version of each object is in
// force, and counts generations.
type ledger struct {
	inForce map[snapshot.Key]*entry
}

// entry is an object in force.
type entry struct {
	object      snapshot.Object
	whole, spec digest
	origin      origin
}

// movedTo is the same object, written elsewhere.
func (e *entry) movedTo(at origin) *entry {
	if e.origin == at {
		return e
	}
	moved := *e
	moved.origin = at
	return &moved
}

// origin is where an object is written; zero if it is not.
type origin struct {
	file string
	// documentLine is the number of lines in front of the document.
	documentLine int
	// root and path lead to the object in the document, see judged.
	root int
	path string
	// line is the object's own, from 1.
	line, column int
}

func (o origin) String() string { return fmt.Sprintf("%s:%d:%d", o.file, o.line, o.column) }

// breath is after how many files others may have the processor: it is shared with
// those who answer requests.
const breath = 256

// posting is one pass over all files that brings the ledger in step with them.
type posting struct {
	before, next map[snapshot.Key]*entry
	// owners are the places of all objects that are written, refused ones included.
	owners      map[snapshot.Key]origin
	diagnostics []diagnostic.Diagnostic
}

// post takes over what the files say, and returns what changed and everything that
// is to be told about the files.
func (l *ledger) post(files []*content) ([]snapshot.Change, []diagnostic.Diagnostic) {
	p := &posting{
		before: l.inForce,
		next:   make(map[snapshot.Key]*entry, len(l.inForce)),
		owners: make(map[snapshot.Key]origin, len(l.inForce)),
	}
	for i, file := range files {
		p.postFile(file)
		if i%breath == breath-1 {
			runtime.Gosched()
		}
	}
	for _, file := range files {
		p.keepObscure(file)
	}
	p.imply()
	l.inForce = p.next
	return p.changes(), p.diagnostics
}

func (p *posting) postFile(file *content) {
	if file.problem != nil {
		p.diagnostics = append(p.diagnostics, *file.problem)
	}
	keys := make([]snapshot.Key, 0, len(file.keys))
	for _, document := range file.documents {
		for _, finding := range document.verdict.Findings {
			finding.File = file.path
			finding.Line += document.line
			p.diagnostics = append(p.diagnostics, finding)
		}
		for i := range document.verdict.Objects {
			object := &document.verdict.Objects[i]
			if p.own(file, document.line, object) {
				keys = append(keys, object.Key)
			}
		}
	}
	if file.obscure() {
		keys = append(keys, without(file.keys, keys)...)
	}
	file.keys = keys
}

// own enters an object, unless it is written somewhere before.
func (p *posting) own(file *content, documentLine int, object *judged) bool {
	at := origin{
		file: file.path, documentLine: documentLine, root: object.Root, path: object.Path,
		line: documentLine + object.Line, column: object.Column,
	}
	if first, twice := p.owners[object.Key]; twice {
		if !file.gone {
			p.duplicate(object.Key, at, first)
		}
		return false
	}
	p.owners[object.Key] = at
	before := p.before[object.Key]
	switch {
	case object.object != nil:
		p.next[object.Key] = accept(object, before, at)
	case before != nil && before.origin != (origin{}):
		p.keep(object.Key, before, at)
	}
	return true
}

func (p *posting) duplicate(key snapshot.Key, at, first origin) {
	p.diagnostics = append(p.diagnostics, diagnostic.Diagnostic{
		Severity: diagnostic.Error, File: at.file, Line: at.line, Column: at.column, Object: key,
		Message: fmt.Sprintf("the object is written twice; the first one counts, in %s", first),
		Fix:     "remove or rename one of the two",
	})
}

// keep leaves the last accepted version of a refused object in force.
func (p *posting) keep(key snapshot.Key, before *entry, at origin) {
	p.next[key] = before.movedTo(at)
	p.diagnostics = append(p.diagnostics, diagnostic.Diagnostic{
		Severity: diagnostic.Info, File: at.file, Line: at.line, Column: at.column, Object: key,
		Message: "the last accepted version stays in force until this one is accepted",
	})
}

// keepObscure leaves what a file held before in force while not all of it can be read.
func (p *posting) keepObscure(file *content) {
	if !file.obscure() {
		return
	}
	kept := 0
	for _, key := range file.keys {
		_, written := p.owners[key]
		if before := p.before[key]; before != nil && !written && p.next[key] == nil {
			p.next[key] = before
			kept++
		}
	}
	if kept > 0 {
		p.diagnostics = append(p.diagnostics, diagnostic.Diagnostic{
			Severity: diagnostic.Info, File: file.path,
			Message: fmt.Sprintf("not all of the file can be read; the last accepted versions of %d of its objects stay in force", kept),
		})
	}
}

// accept makes an entry of an object. Its generation counts the changes of what is
// not metadata. Objects that were handed out are never changed.
func accept(object *judged, before *entry, at origin) *entry {
	if before != nil && before.whole == object.Whole {
		return before.movedTo(at)
	}
	generation := int64(1)
	if before != nil {
		generation = before.object.GetGeneration()
		if before.spec != object.Spec {
			generation++
		}
	}
	typed := object.object
	if typed.GetGeneration() != 0 {
		typed = typed.DeepCopyObject().(snapshot.Object)
	}
	typed.SetGeneration(generation)
	return &entry{object: typed, whole: object.Whole, spec: object.Spec, origin: at}
}

// changes are what differs from before, ordered by key.
func (p *posting) changes() []snapshot.Change {
	var changes []snapshot.Change
	for key, now := range p.next {
		if before := p.before[key]; before == nil || before.object != now.object {
			changes = append(changes, snapshot.Change{Key: key, Object: now.object})
		}
	}
	for key := range p.before {
		if p.next[key] == nil {
			changes = append(changes, snapshot.Change{Key: key})
		}
	}
	slices.SortFunc(changes, func(a, b snapshot.Change) int { return a.Key.Compare(b.Key) })
	return changes
}

// without are the keys of a that are not in b.
func without(a, b []snapshot.Key) []snapshot.Key {
	in := make(map[snapshot.Key]bool, len(b))
	for _, key := range b {
		in[key] = true
	}
	var rest []snapshot.Key
	for _, key := range a {
		if !in[key] {
			rest = append(rest, key)
		}
	}
	return rest
}
