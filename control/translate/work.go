package translate

import (
	"maps"
	"reflect"
	"slices"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/snapshot/tree"
	"github.com/sluicegateway/sluice/control/status"
)

// work is what one update has touched so far.
type work struct {
	before      View
	delta       *config.Delta
	config      map[config.Ref]struct{}
	statuses    map[snapshot.Key]struct{}
	diagnostics map[unit]struct{}

	// ports are where, and for which hostnames, conflicts must be resolved again.
	ports     map[portKey]map[string]struct{}
	sockets   map[portKey]struct{}      // ports whose sockets must be shared again
	rivals    map[string]struct{}       // listeners that routes claim anew, or no longer
	unlisted  map[snapshot.Key]struct{} // Gateways and ListenerSets whose listeners must be published
	unsettled map[snapshot.Key]struct{} // Gateways and ListenerSets whose status must be made
	unplaced  map[snapshot.Key]struct{} // Gateways whose needs must be said
	policies  map[snapshot.Key]struct{} // buckets of policies that must be ranked again
	reallot   bool                      // ports must be allotted again
	wanted    []snapshot.Key            // Gateways whose needs changed
}

func newWork(before View) work {
	return work{
		before:      before,
		config:      map[config.Ref]struct{}{},
		statuses:    map[snapshot.Key]struct{}{},
		diagnostics: map[unit]struct{}{},
		ports:       map[portKey]map[string]struct{}{},
		sockets:     map[portKey]struct{}{},
		rivals:      map[string]struct{}{},
		unlisted:    map[snapshot.Key]struct{}{},
		unsettled:   map[snapshot.Key]struct{}{},
		unplaced:    map[snapshot.Key]struct{}{},
		policies:    map[snapshot.Key]struct{}{},
	}
}

// open begins an update. The view before stays as it is.
func (t *Translator) open() {
	t.work = newWork(t.view)
	t.view = t.view.edit()
}

// begin takes the new snapshot and marks what its changes dirty.
func (t *Translator) begin(s *snapshot.Snapshot, changed []snapshot.Key) {
	t.open()
	before := t.snapshot
	t.snapshot = s
	if t.view.version == 0 {
		for key, object := range s.All() {
			t.changed(key, nil, object)
		}
		return
	}
	for _, key := range changed {
		t.changed(key, before.Object(key), s.Object(key))
	}
}

func (t *Translator) changed(key snapshot.Key, before, after snapshot.Object) {
	t.graph.touch(key)
	delete(t.bundles, key)
	delete(t.certificates, key)
	if t.shared() && key.Kind == snapshot.KindService {
		t.noteService(key, after)
	}
	for _, bucket := range append(snapshot.Buckets(before), snapshot.Buckets(after)...) {
		if isPolicy(key.Kind) {
			t.work.policies[bucket] = struct{}{}
			continue
		}
		t.graph.touch(bucket)
	}
	if stage, ok := stageOf(key.Kind); ok {
		t.graph.mark(unit{stage, key})
	}
}

// The functions that follow put results into the view. A nil or empty result
// takes the earlier one away.

func (t *Translator) putListener(name string, listener *config.Listener) {
	t.work.config[config.Ref{Kind: config.KindListener, Name: name}] = struct{}{}
	t.view.listeners = put(t.view.listeners, name, listener, listener == nil)
}

func (t *Translator) putRoute(name string, route *config.Route) {
	t.work.config[config.Ref{Kind: config.KindRoute, Name: name}] = struct{}{}
	t.view.routes = put(t.view.routes, name, route, route == nil)
}

func (t *Translator) putBackend(name string, backend *config.Backend) {
	t.work.config[config.Ref{Kind: config.KindBackend, Name: name}] = struct{}{}
	t.view.backends = put(t.view.backends, name, backend, backend == nil)
}

func (t *Translator) putStatus(key snapshot.Key, s status.Status) {
	t.work.statuses[key] = struct{}{}
	t.view.statuses = put(t.view.statuses, key, s, s.Empty())
}

func (t *Translator) putDiagnostics(u unit, found []diagnostic.Diagnostic) {
	t.work.diagnostics[u] = struct{}{}
	t.view.diagnostics = put(t.view.diagnostics, u, found, len(found) == 0)
}

// settle says of each object of a stage that something changed for what became
// of it. One that is gone has no status and no findings.
func (t *Translator) settle(of stage, judge func(*reader, snapshot.Object) (status.Status, []diagnostic.Diagnostic)) {
	for _, key := range t.graph.take(of) {
		u := unit{of, key}
		r := t.reader()
		var s status.Status
		var found []diagnostic.Diagnostic
		if object := r.Object(key); object != nil {
			s, found = judge(r, object)
		}
		t.graph.record(u, r.read)
		t.putStatus(key, s)
		t.putDiagnostics(u, found)
	}
}

func put[K, V any](m tree.Map[K, V], key K, value V, remove bool) tree.Map[K, V] {
	if remove {
		return m.Delete(key)
	}
	return m.Set(key, value)
}

// finish compares what was touched with what was before.
func (t *Translator) finish() Result {
	return Result{
		Delta:    t.work.delta,
		Statuses: t.changedStatuses(),
		Wanted:   t.work.wanted,
		Found:    t.foundDiagnostics(),
		View:     t.view,
	}
}

// composeDelta gathers the changes of the configuration.
func (t *Translator) composeDelta() {
	before := t.work.before
	delta := &config.Delta{Version: before.version, Reset: before.version == 0}
	for _, ref := range slices.SortedFunc(maps.Keys(t.work.config), compareRefs) {
		switch ref.Kind {
		case config.KindListener:
			delta.Listeners = difference(before.listeners, t.view.listeners, ref, delta.Listeners, &delta.Removed)
		case config.KindRoute:
			delta.Routes = difference(before.routes, t.view.routes, ref, delta.Routes, &delta.Removed)
		case config.KindBackend:
			delta.Backends = difference(before.backends, t.view.backends, ref, delta.Backends, &delta.Removed)
		}
	}
	if !delta.Empty() {
		delta.Version = max(before.version, t.options.Version) + 1
	}
	t.view.version = delta.Version
	t.served.expect(delta)
	t.work.delta = delta
}

// difference appends the resource if it has changed, or its name to removed.
func difference[R any](before, after tree.Map[string, *R], ref config.Ref, changed []*R, removed *[]config.Ref) []*R {
	old, was := before.Get(ref.Name)
	now, is := after.Get(ref.Name)
	switch {
	case is && !reflect.DeepEqual(old, now):
		return append(changed, now)
	case was && !is:
		*removed = append(*removed, ref)
	}
	return changed
}

func (t *Translator) changedStatuses() map[snapshot.Key]status.Status {
	changed := map[snapshot.Key]status.Status{}
	for key := range t.work.statuses {
		old, _ := t.work.before.statuses.Get(key)
		now, _ := t.view.statuses.Get(key)
		if !now.Equal(old) {
			changed[key] = now
		}
	}
	return changed
}

func (t *Translator) foundDiagnostics() []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	for u := range t.work.diagnostics {
		old, _ := t.work.before.diagnostics.Get(u)
		now, _ := t.view.diagnostics.Get(u)
		for _, d := range now {
			if !slices.Contains(old, d) {
				found = append(found, d)
			}
		}
	}
	slices.SortFunc(found, compareDiagnostics)
	return found
}
