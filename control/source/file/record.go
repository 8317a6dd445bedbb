package file

import (
	"fmt"
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// record is what the ledger knows of one object.
type record struct {
	// written are all places where it is written, refused or not. The first counts.
	written []*writing
	// claims are the pages that may have it where they cannot be made out.
	claims map[*page]bool
	// members is how many objects are in force in it, if it is a namespace.
	members int
	inForce *entry // nil if none is
}

// entry is an object in force. It is never changed.
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

// isWritten is false of no object, and of one that is implied.
func (e *entry) isWritten() bool { return e != nil && e.origin != (origin{}) }

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

// write enters a place where the object is written.
func (r *record) write(w *writing) {
	i, _ := slices.BinarySearchFunc(r.written, w, (*writing).compare)
	r.written = slices.Insert(r.written, i, w)
}

func (r *record) claim(by *page) {
	if r.claims == nil {
		r.claims = map[*page]bool{}
	}
	r.claims[by] = true
}

// next is the version that is in force now, after the one that was before: what is
// written first, or the last accepted version while that is refused, or while it may
// be where a file cannot be made out.
func (r *record) next(key snapshot.Key) *entry {
	before := r.inForce
	switch {
	case len(r.written) > 0 && r.written[0].object.object != nil:
		return accept(r.written[0].object, before, r.written[0].at)
	case len(r.written) > 0 && before.isWritten():
		return before.movedTo(r.written[0].at)
	case len(r.claims) > 0 && before.isWritten():
		return before
	case r.isImplied(key):
		return imply(key, before)
	}
	return nil
}

// isKept is true if the last accepted version stays in force because some file may
// still have it.
func (r *record) isKept() bool { return r != nil && len(r.written) == 0 && r.inForce.isWritten() }

func (r *record) isEmpty() bool {
	return len(r.written) == 0 && len(r.claims) == 0 && r.members == 0 && r.inForce == nil
}

// describe is what is to be told about a place where the object is written.
func (r *record) describe(w *writing) (finding diagnostic.Diagnostic, found bool) {
	finding = diagnostic.Diagnostic{File: w.at.file, Line: w.at.line, Column: w.at.column, Object: w.object.Key}
	switch first := r.written[0]; {
	case first != w && !w.page.file.gone:
		finding.Severity = diagnostic.Error
		finding.Message = fmt.Sprintf("the object is written twice; the first one counts, in %s", first.at)
		finding.Fix = "remove or rename one of the two"
		return finding, true
	case first == w && w.object.object == nil && r.inForce.isWritten():
		finding.Severity = diagnostic.Info
		finding.Message = "the last accepted version stays in force until this one is accepted"
		return finding, true
	}
	return finding, false
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
