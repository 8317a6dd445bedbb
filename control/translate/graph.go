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
	stageClientPolicy
	stageBackendPolicy
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
	case snapshot.KindHTTPRoute, snapshot.KindGRPCRoute:
		return stageRoute, true
	case snapshot.KindBackend:
		return stageBackendObject, true
	case snapshot.KindReferenceGrant:
		return stageGrant, true
	case snapshot.KindClientPolicy:
		return stageClientPolicy, true
	case snapshot.KindBackendTLSPolicy:
		return stageBackendPolicy, true
	case snapshot.KindTLSRoute, snapshot.KindTCPRoute, snapshot.KindUDPRoute,
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
	nodes   map[unit]*node
	sources map[snapshot.Key]*source
	dirty   map[stage]map[snapshot.Key]struct{}
}

// node is a unit that has read something. It and its sources point to each other,
// because a cluster has many of both and their keys are long.
type node struct {
	unit  unit
	reads []*source
}

// source is something that units have read. Nearly every one has few readers, for
// which a map would be large, and some have thousands.
type source struct {
	key  snapshot.Key
	few  []*node
	many map[*node]struct{} // in place of few where there are more than maxFew
}

const maxFew = 8

func newGraph() *graph {
	return &graph{
		nodes:   map[unit]*node{},
		sources: map[snapshot.Key]*source{},
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
	if s := g.sources[key]; s != nil {
		for n := range s.readers() {
			g.mark(n.unit)
		}
	}
}

// take returns the units of a stage that must run, in order.
func (g *graph) take(s stage) []snapshot.Key {
	keys := slices.SortedFunc(maps.Keys(g.dirty[s]), snapshot.Key.Compare)
	delete(g.dirty, s)
	return keys
}

// record replaces what a unit has read. That it reads its own object needs no
// record: changed marks it anyway.
func (g *graph) record(u unit, read map[snapshot.Key]struct{}) {
	if own, ok := stageOf(u.key.Kind); ok && own == u.stage {
		delete(read, u.key)
	}
	n := g.nodes[u]
	if n == nil {
		n = &node{unit: u}
		g.nodes[u] = n
	}
	for _, s := range n.reads {
		if _, still := read[s.key]; !still {
			g.unlink(s, n)
		}
	}
	if len(read) == 0 {
		delete(g.nodes, u)
		return
	}
	n.reads = make([]*source, 0, len(read))
	for key := range read {
		s := g.sources[key]
		if s == nil {
			s = &source{key: key}
			g.sources[key] = s
		}
		s.add(n)
		n.reads = append(n.reads, s)
	}
}

func (g *graph) unlink(s *source, n *node) {
	delete(s.many, n)
	if at := slices.Index(s.few, n); at >= 0 {
		s.few = slices.Delete(s.few, at, at+1)
	}
	if len(s.few)+len(s.many) == 0 {
		delete(g.sources, s.key)
	}
}

func (s *source) readers() iter.Seq[*node] {
	if s.many != nil {
		return maps.Keys(s.many)
	}
	return slices.Values(s.few)
}

func (s *source) add(n *node) {
	switch {
	case s.many != nil:
		s.many[n] = struct{}{}
	case slices.Contains(s.few, n):
	case len(s.few) < maxFew:
		s.few = append(s.few, n)
	default:
		s.many = map[*node]struct{}{n: {}}
		for _, other := range s.few {
			s.many[other] = struct{}{}
		}
		s.few = nil
	}
}

// reader reads for one unit and remembers what was read, misses too.
type reader struct {
	snapshot     *snapshot.Snapshot
	bindings     map[snapshot.Key]*attach.Parent
	terms        map[snapshot.Key]*terms
	bundles      map[snapshot.Key]bundle
	certificates map[snapshot.Key]*certificate
	firsts       map[snapshot.Key]firsts
	read         map[snapshot.Key]struct{}
}

func (t *Translator) reader() *reader {
	return &reader{
		snapshot: t.snapshot, bindings: t.bindings, terms: t.terms,
		bundles: t.bundles, certificates: t.certificates, firsts: t.firsts,
		read: map[snapshot.Key]struct{}{},
	}
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
