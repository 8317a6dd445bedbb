package translate

import (
	"iter"
	"maps"
	"slices"

	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// stage is a kind of work; the stages run in the order of [Translator.Update].
type stage int

const (
	stageClass stage = iota
	stageGateway
	stageListenerSet
	stageService
	stageReplica
	stageRoute
	stageUnserved
	stageBackend
	stageBackendObject
	stageGrant
)

// stageOf is the stage that translates objects of a kind.
func stageOf(kind snapshot.Kind) (stage, bool) {
	switch kind {
	case snapshot.KindGatewayClass:
		return stageClass, true
	case snapshot.KindGateway:
		return stageGateway, true
	case snapshot.KindListenerSet:
		return stageListenerSet, true
	case snapshot.KindHTTPRoute:
		return stageRoute, true
	case snapshot.KindBackend:
		return stageBackendObject, true
	case snapshot.KindReferenceGrant:
		return stageGrant, true
	case snapshot.KindGRPCRoute, snapshot.KindTLSRoute, snapshot.KindTCPRoute, snapshot.KindUDPRoute,
		snapshot.KindBackendTLSPolicy,
		snapshot.KindXBackend, snapshot.KindXBackendTrafficPolicy, snapshot.KindXMesh:
		return stageUnserved, true
	}
	return 0, false
}

// unit is the smallest work whose result is kept: one object in one stage.
type unit struct {
	stage stage
	key   snapshot.Key
}

// graph knows what each unit has read and which units must run again.
type graph struct {
	reads   map[unit][]snapshot.Key
	readers map[snapshot.Key]readers
	dirty   map[stage]map[snapshot.Key]struct{}
}

func newGraph() *graph {
	return &graph{
		reads:   map[unit][]snapshot.Key{},
		readers: map[snapshot.Key]readers{},
		dirty:   map[stage]map[snapshot.Key]struct{}{},
	}
}

// mark says that a unit must run.
func (g *graph) mark(u unit) {
	if g.dirty[u.stage] == nil {
		g.dirty[u.stage] = map[snapshot.Key]struct{}{}
	}
	g.dirty[u.stage][u.key] = struct{}{}
}

// touch says that what a key stands for has changed: all its readers must run.
func (g *graph) touch(key snapshot.Key) {
	for u := range g.readers[key].all() {
		g.mark(u)
	}
}

// take returns the units of a stage that must run, in order.
func (g *graph) take(s stage) []snapshot.Key {
	keys := slices.SortedFunc(maps.Keys(g.dirty[s]), snapshot.Key.Compare)
	delete(g.dirty, s)
	return keys
}

// record replaces what a unit has read.
func (g *graph) record(u unit, read map[snapshot.Key]struct{}) {
	for _, key := range g.reads[u] {
		if _, still := read[key]; !still {
			g.unlink(key, u)
		}
	}
	if len(read) == 0 {
		delete(g.reads, u)
		return
	}
	for key := range read {
		g.readers[key] = g.readers[key].with(u)
	}
	g.reads[u] = slices.AppendSeq(make([]snapshot.Key, 0, len(read)), maps.Keys(read))
}

func (g *graph) unlink(key snapshot.Key, u unit) {
	if left := g.readers[key].without(u); left.empty() {
		delete(g.readers, key)
	} else {
		g.readers[key] = left
	}
}

// readers are the units that have read a key. Nearly all keys have a single one,
// for which a map would be half a kilobyte, and some have thousands.
type readers struct {
	few  []unit
	many map[unit]struct{} // in place of few where they are more than maxFew
}

const maxFew = 8

func (r readers) empty() bool { return len(r.few)+len(r.many) == 0 }

func (r readers) all() iter.Seq[unit] {
	if r.many != nil {
		return maps.Keys(r.many)
	}
	return slices.Values(r.few)
}

func (r readers) with(u unit) readers {
	switch {
	case r.many != nil:
		r.many[u] = struct{}{}
	case slices.Contains(r.few, u):
	case len(r.few) < maxFew:
		r.few = append(r.few, u)
	default:
		r.many = map[unit]struct{}{u: {}}
		for _, other := range r.few {
			r.many[other] = struct{}{}
		}
		r.few = nil
	}
	return r
}

func (r readers) without(u unit) readers {
	delete(r.many, u)
	if at := slices.Index(r.few, u); at >= 0 {
		r.few = slices.Delete(r.few, at, at+1)
	}
	return r
}

// reader reads for one unit and remembers what was read, misses too.
type reader struct {
	snapshot *snapshot.Snapshot
	bindings map[snapshot.Key]*attach.Parent
	terms    map[snapshot.Key]*terms
	read     map[snapshot.Key]struct{}
}

func (t *Translator) reader() *reader {
	return &reader{snapshot: t.snapshot, bindings: t.bindings, terms: t.terms, read: map[snapshot.Key]struct{}{}}
}

// Object implements [snapshot.Reader].
func (r *reader) Object(key snapshot.Key) snapshot.Object {
	r.read[key] = struct{}{}
	return r.snapshot.Object(key)
}

// Bucket implements [snapshot.Reader].
func (r *reader) Bucket(bucket snapshot.Key) iter.Seq[snapshot.Object] {
	r.read[bucket] = struct{}{}
	return r.snapshot.Bucket(bucket)
}

// binding is what routes see of a Gateway or ListenerSet of ours; nil if it is
// none. It changes less often than the object.
func (r *reader) binding(parent snapshot.Key) *attach.Parent {
	r.read[bindingKey(parent)] = struct{}{}
	return r.bindings[parent]
}

func bindingKey(parent snapshot.Key) snapshot.Key {
	return snapshot.Key{Kind: "listeners of " + parent.Kind, Namespace: parent.Namespace, Name: parent.Name}
}

// termsOf is what ListenerSets see of a Gateway of ours; nil if it is none. It
// changes less often than the object.
func (r *reader) termsOf(gateway snapshot.Key) *terms {
	r.read[termsKey(gateway)] = struct{}{}
	return r.terms[gateway]
}

func termsKey(gateway snapshot.Key) snapshot.Key {
	return snapshot.Key{Kind: "terms of Gateway", Namespace: gateway.Namespace, Name: gateway.Name}
}
