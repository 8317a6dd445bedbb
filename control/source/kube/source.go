package kube

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Update is what the API server has to say: changed objects, and which kinds,
// Secrets and ConfigMaps cannot be read.
type Update struct {
	Changes []snapshot.Change
	// Diagnostics are all that are in force, not only the new ones.
	Diagnostics []diagnostic.Diagnostic
}

// Options of a Source.
type Options struct {
	Client *Client
	// Namespace is the installation's own, where its replicas are.
	Namespace string
	Log       *slog.Logger
	// Seen is called for each object that was set or removed at the API server,
	// also where only its status changed. It is called with the store locked, so it
	// must not ask for Latest. It may be nil.
	Seen func(snapshot.Key)
}

// Source reads objects from an API server and follows their changes.
//
// It lists and watches what kinds.go names in all namespaces, and Pods and Leases
// of its own namespace. Of Secrets and ConfigMaps it watches the metadata in all
// namespaces, and gets those whole that something refers to: what the others hold
// never leaves the API server. RBAC knows no right to metadata alone, though, so the
// role needs get, list and watch for both; who may act as Sluice may read them all.
//
// A narrower role works too: without list and watch, each one that something refers
// to is got once a minute, so a Role with get in the namespaces of the certificates
// is enough, or with get for these objects by their names. The price is a warning,
// and that a new certificate is noticed up to a minute later.
type Source struct {
	options   Options
	store     *store
	batch     *batch
	referents *referentReader
	reach     *reach
	// defined says that the store has all definitions.
	defined atomic.Bool

	mu       sync.Mutex
	findings map[snapshot.Kind]diagnostic.Diagnostic // kinds that cannot be read
	waiting  sync.WaitGroup                          // for each follower's first word
}

// New makes a Source that has read nothing yet.
func New(options Options) *Source {
	s := &Source{options: options, findings: map[snapshot.Kind]diagnostic.Diagnostic{}, reach: &reach{log: options.Log}}
	s.store = newStore(options.Client.manager, s.seen)
	s.referents = newReferentReader(options.Client.Get, options.Log)
	s.batch = newBatch(s.referents.refer, s.referents.held)
	s.referents.put, s.referents.nudge = s.batch.put, s.batch.nudge
	return s
}

// Run calls update with all objects, then with each change, one call after the
// other, until ctx ends. A server that is away is waited for: serving goes on with
// what is known.
func (s *Source) Run(ctx context.Context, update func(Update)) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, f := range s.followers() {
		s.waiting.Add(1)
		running.Go(func() { f.run(ctx) })
	}
	if !s.settle(ctx) {
		return nil
	}
	running.Go(func() { s.referents.run(ctx) })
	if held := s.referents.held(); held != nil {
		select {
		case <-held:
		case <-ctx.Done():
		}
	}
	s.batch.deliver(ctx, func(changes []snapshot.Change) {
		update(Update{Changes: changes, Diagnostics: s.diagnostics()})
	})
	return nil
}

// settle waits until each follower has read its kind, or knows that it cannot.
func (s *Source) settle(ctx context.Context) bool {
	settled := make(chan struct{})
	go func() { s.waiting.Wait(); close(settled) }()
	select {
	case <-settled:
		return true
	case <-ctx.Done():
		return false
	}
}

// Latest is an object as the API server showed it last, with its newest status;
// nil if there is none.
func (s *Source) Latest(key snapshot.Key) snapshot.Object { return s.store.get(key) }

// latest is an object like Latest, and the fields of it that Sluice has applied.
func (s *Source) latest(key snapshot.Key) (snapshot.Object, *metav1.FieldsV1) {
	return s.store.getApplied(key)
}

// Reachable reports whether the API server answered the last request of a watch.
func (s *Source) Reachable() bool { return s.reach.fine() }

// seen takes an object that was set (object) or removed (nil); news says whether
// the translation has to know.
func (s *Source) seen(key snapshot.Key, object snapshot.Object, news bool) {
	if news {
		s.batch.put(key, object)
	}
	if s.options.Seen != nil {
		s.options.Seen(key)
	}
}

// find notes why a kind cannot be read, or that it can.
func (s *Source) find(k kind, found *diagnostic.Diagnostic) {
	if k.referent {
		s.referents.watched(k.name, found == nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, was := s.findings[k.name]
	switch {
	case found == nil && was:
		delete(s.findings, k.name)
		s.options.Log.Info("the kind is read again", "kind", k.name)
	case found != nil && before != *found:
		s.findings[k.name] = *found
		s.options.Log.Log(context.Background(), level(found.Severity), found.Message, "kind", k.name, "fix", found.Fix)
	default:
		return
	}
	s.batch.nudge()
}

func level(s diagnostic.Severity) slog.Level {
	if s == diagnostic.Info {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (s *Source) diagnostics() []diagnostic.Diagnostic {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []diagnostic.Diagnostic
	for _, d := range s.findings {
		all = append(all, d)
	}
	all = append(all, s.referents.diagnostics()...)
	slices.SortFunc(all, func(a, b diagnostic.Diagnostic) int {
		return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.Message, b.Message))
	})
	return all
}

// followers make one for each kind.
func (s *Source) followers() []*follower {
	var all []*follower
	for _, k := range referents {
		all = append(all, s.follower(k, metadataWatcher(s.options.Client.metadata, k), &metav1.PartialObjectMetadata{}))
	}
	for _, k := range kinds {
		all = append(all, s.follower(k, s.options.Client.watcher(k, s.options.Namespace), k.object()))
	}
	return append(all, s.definitionFollower(all))
}

// definitionFollower has the others try again when their definition changes.
func (s *Source) definitionFollower(others []*follower) *follower {
	f := s.follower(definitions, metadataWatcher(s.options.Client.metadata, definitions), &metav1.PartialObjectMetadata{})
	f.sink.after = func(name string) {
		for _, other := range others {
			if other.kind.custom() && (other.kind.definition() == name || name == "") {
				other.retry()
			}
		}
	}
	f.sink.replaced = func() {
		s.defined.Store(true)
		f.read()
		f.sink.after("")
	}
	return f
}

// definition is what is known of the kind's definition, or nil.
func (s *Source) definition(k kind) snapshot.Object {
	return s.store.get(snapshot.Key{Kind: snapshot.KindCustomResourceDefinition, Name: k.definition()})
}

// undefined reports whether the kind is known to have no definition.
func (s *Source) undefined(k kind) bool {
	return k.custom() && s.defined.Load() && s.definition(k) == nil
}

func metadataWatcher(client metadata.Interface, k kind) *cache.ListWatch {
	objects := client.Resource(k.version.WithResource(k.resource))
	return &cache.ListWatch{ListWithContextFunc: listMetadata(objects), WatchFuncWithContext: objects.Watch}
}

// selectReplicas selects the Pods and the Leases of Sluice's replicas.
func selectReplicas(o *metav1.ListOptions) { o.LabelSelector = v1alpha1.LabelReplica + "=true" }

// all are the objects of a kind as the API server showed them last, in no order.
func (s *Source) all(k snapshot.Kind) []snapshot.Object { return s.store.all(k) }
