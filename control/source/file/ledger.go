package file

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// ledger plays the API server's part: it knows which version of each object is in
// force, and counts generations. Its cost follows what changes: files are posted one
// by one, and only the objects that they are about are settled anew.
type ledger struct {
	records map[snapshot.Key]*record
	pages   map[*content]*page
	// findings are everything that is to be told about the files, in their order.
	// The slice is never changed.
	findings []diagnostic.Diagnostic
}

// page is what one file writes.
type page struct {
	file     *content
	writings []*writing
	// claims are the objects that the file had when it was last whole, or since. It
	// may still have them if not all of it can be made out.
	claims map[snapshot.Key]bool
	// findings are what is to be told about the file.
	findings []diagnostic.Diagnostic
}

// writing is an object as a file has it.
type writing struct {
	page   *page
	index  int // in the page's writings
	at     origin
	object *judged
}

// compare orders writings of the same object: the first one counts. What is written
// in a file that is gone for a moment gives way to everything else.
func (w *writing) compare(other *writing) int {
	a, b := w.page.file, other.page.file
	switch {
	case a == b:
		return w.index - other.index
	case a.gone == b.gone:
		return a.compare(b.position)
	case a.gone:
		return 1
	}
	return -1
}

// breath is after how many files others may have the processor: it is shared with
// those who answer requests.
const breath = 256

// posting brings the ledger in step with some files.
type posting struct {
	*ledger
	touched map[snapshot.Key]bool
	// affected are the pages about which there may be something else to tell.
	affected map[*page]bool
	changes  []snapshot.Change
}

// post takes over what the given files say, and returns what changed by that. It is
// true if the findings did.
func (l *ledger) post(files []*content) (changes []snapshot.Change, retold bool) {
	p := &posting{ledger: l, touched: map[snapshot.Key]bool{}, affected: map[*page]bool{}}
	if l.records == nil {
		l.records, l.pages = map[snapshot.Key]*record{}, map[*content]*page{}
		p.touched[impliedClass] = true
	}
	for _, file := range files {
		p.strike(file)
	}
	for i, file := range files {
		p.enter(file)
		if i%breath == breath-1 {
			runtime.Gosched()
		}
	}
	p.settleAll()
	slices.SortFunc(p.changes, func(a, b snapshot.Change) int { return a.Key.Compare(b.Key) })
	return p.changes, p.retell()
}

// strike takes out what a file wrote before. The file claims it if it may be in it
// still.
func (p *posting) strike(file *content) {
	page := p.page(file)
	if !file.obscure() {
		for key := range page.claims {
			p.touched[key] = true
			delete(p.record(key).claims, page)
		}
		page.claims = nil
	} else if page.claims == nil {
		page.claims = map[snapshot.Key]bool{}
	}
	for _, w := range page.writings {
		key := w.object.Key
		p.touched[key] = true
		record := p.record(key)
		record.written = slices.DeleteFunc(record.written, func(w *writing) bool { return w.page == page })
		if page.claims != nil {
			page.claims[key] = true
			record.claim(page)
		}
	}
	page.writings = nil
}

// enter takes in what a file writes now.
func (p *posting) enter(file *content) {
	page := p.page(file)
	for _, document := range file.documents {
		for i := range document.verdict.Objects {
			object := &document.verdict.Objects[i]
			at := origin{
				file: file.path, documentLine: document.line, root: object.Root, path: object.Path,
				line: document.line + object.Line, column: object.Column,
			}
			w := &writing{page: page, index: len(page.writings), at: at, object: object}
			page.writings = append(page.writings, w)
			p.record(object.Key).write(w)
			p.touched[object.Key] = true
		}
	}
}

func (p *posting) page(file *content) *page {
	known := p.pages[file]
	if known == nil {
		known = &page{file: file}
		p.pages[file] = known
	}
	p.affected[known] = true
	return known
}

func (p *posting) record(key snapshot.Key) *record {
	known := p.records[key]
	if known == nil {
		known = &record{}
		p.records[key] = known
	}
	return known
}

// settleAll decides about all objects that were touched: namespaces last, for the
// others imply them.
func (p *posting) settleAll() {
	for key := range p.touched {
		if key.Kind != snapshot.KindNamespace {
			p.settle(key)
		}
	}
	for key := range p.touched {
		if key.Kind == snapshot.KindNamespace {
			p.settle(key)
		}
	}
}

// settle decides which version of an object is in force now.
func (p *posting) settle(key snapshot.Key) {
	record := p.record(key)
	before, now := record.inForce, record.next(key)
	record.inForce = now
	switch {
	case now == nil && before != nil:
		p.changes = append(p.changes, snapshot.Change{Key: key})
		p.countMember(key, -1)
	case now != nil && before == nil:
		p.changes = append(p.changes, snapshot.Change{Key: key, Object: now.object})
		p.countMember(key, 1)
	case now != nil && now.object != before.object:
		p.changes = append(p.changes, snapshot.Change{Key: key, Object: now.object})
	}
	for _, w := range record.written {
		p.affected[w.page] = true
	}
	for page := range record.claims {
		p.affected[page] = true
	}
	if record.isEmpty() {
		delete(p.records, key)
	}
}

// countMember counts an object that came into force in its namespace, or went.
func (p *posting) countMember(key snapshot.Key, by int) {
	if key.Namespace == "" {
		return
	}
	namespace := snapshot.Key{Kind: snapshot.KindNamespace, Name: key.Namespace}
	p.record(namespace).members += by
	p.touched[namespace] = true
}

// retell brings the findings up to date. It is true if they changed.
func (p *posting) retell() (changed bool) {
	for page := range p.affected {
		if findings := p.describe(page); !slices.Equal(findings, page.findings) {
			page.findings = findings
			changed = true
		}
		if len(page.file.documents) == 0 && !page.file.obscure() {
			delete(p.pages, page.file)
		}
	}
	if !changed {
		return false
	}
	var telling []*page
	for _, page := range p.pages {
		if len(page.findings) > 0 {
			telling = append(telling, page)
		}
	}
	slices.SortFunc(telling, func(a, b *page) int { return a.file.compare(b.file.position) })
	p.findings = nil
	for _, page := range telling {
		p.findings = append(p.findings, page.findings...)
	}
	return true
}

// describe is what is to be told about a file.
func (l *ledger) describe(page *page) (all []diagnostic.Diagnostic) {
	file := page.file
	if file.problem != nil {
		all = append(all, *file.problem)
	}
	rest := page.writings
	for _, document := range file.documents {
		for _, finding := range document.verdict.Findings {
			finding.File = file.path
			finding.Line += document.line
			all = append(all, finding)
		}
		for range document.verdict.Objects {
			if finding, found := l.records[rest[0].object.Key].describe(rest[0]); found {
				all = append(all, finding)
			}
			rest = rest[1:]
		}
	}
	kept := 0
	for key := range page.claims {
		if l.records[key].isKept() {
			kept++
		}
	}
	if kept > 0 {
		all = append(all, diagnostic.Diagnostic{
			Severity: diagnostic.Info, File: file.path, Line: 1, Column: 1,
			Message: fmt.Sprintf("not all of the file can be read; the last accepted versions of %d of its objects stay in force", kept),
		})
	}
	for i := range all {
		all[i] = visible(all[i])
	}
	return all
}
