package kube

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// gets is how many referents are read at the same time.
	gets = 8
	// glance is how often those are read again that may not be watched.
	glance = time.Minute
)

// referentReader gets the Secrets and ConfigMaps that something refers to, when they
// appear, when their metadata change, and when somebody begins to refer to them.
type referentReader struct {
	get   func(context.Context, snapshot.Key) (snapshot.Object, error)
	put   func(snapshot.Key, snapshot.Object) // hands a referent on; nil is gone
	nudge func()                              // says that there is something to tell
	log   *slog.Logger
	wake  chan struct{}

	mu     sync.Mutex
	refs   map[snapshot.Key][]snapshot.Key // referents, by who refers to them
	wanted map[snapshot.Key]int            // how many refer to one
	due    map[snapshot.Key]time.Time      // those to look at, and not before when
	// blind has the kinds whose metadata may not be watched.
	blind    map[snapshot.Kind]bool
	idle     chan struct{} // closed when nothing is due at once; nil if nothing is
	failures map[snapshot.Key]failure
	given    map[snapshot.Key]string // resourceVersions of those that were handed on
}

// referrers are what refers to objects of a kind.
var referrers = map[snapshot.Kind]string{
	snapshot.KindSecret:    "a listener or a Gateway",
	snapshot.KindConfigMap: "a Gateway or a BackendTLSPolicy",
}

// failure is why a referent could not be read.
type failure struct {
	wait  time.Duration
	found diagnostic.Diagnostic
}

func newReferentReader(get func(context.Context, snapshot.Key) (snapshot.Object, error), log *slog.Logger) *referentReader {
	return &referentReader{
		get: get, log: log, wake: make(chan struct{}, 1),
		refs: map[snapshot.Key][]snapshot.Key{}, wanted: map[snapshot.Key]int{}, due: map[snapshot.Key]time.Time{},
		blind: map[snapshot.Kind]bool{}, failures: map[snapshot.Key]failure{}, given: map[snapshot.Key]string{},
	}
}

// refer takes the new state of an object that may refer to others; nil is gone.
func (r *referentReader) refer(key snapshot.Key, object snapshot.Object) {
	next := references(object)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.refs[key]
	for _, referent := range next {
		if r.wanted[referent]++; r.wanted[referent] == 1 {
			r.lookAt(referent)
		}
	}
	for _, referent := range before {
		if r.wanted[referent]--; r.wanted[referent] == 0 {
			delete(r.wanted, referent)
			r.lookAt(referent)
		}
	}
	if len(next) > 0 {
		r.refs[key] = next
	} else {
		delete(r.refs, key)
	}
}

// changed says that an object has changed, or is gone.
func (r *referentReader) changed(key snapshot.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[key] > 0 {
		r.lookAt(key)
	}
}

// listed takes the resourceVersions of all objects of a kind.
func (r *referentReader) listed(kind snapshot.Kind, versions map[snapshot.Key]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.wanted {
		if key.Kind == kind && r.given[key] != versions[key] {
			r.lookAt(key)
		}
	}
}

// watched says whether the metadata of a kind may be watched.
func (r *referentReader) watched(kind snapshot.Kind, may bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blind[kind] == !may {
		return
	}
	r.blind[kind] = !may
	for key := range r.wanted {
		if key.Kind == kind {
			r.lookAt(key)
		}
	}
}

// lookAt makes a referent due; the lock is held.
func (r *referentReader) lookAt(key snapshot.Key) {
	r.due[key] = time.Time{}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// held is closed when no referent is due at once; it is nil if none is.
func (r *referentReader) held() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle
}

// run looks at the referents that are due until ctx ends.
func (r *referentReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		keys, next := r.take(time.Now())
		if len(keys) > 0 {
			r.lookAll(ctx, keys)
			continue
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (r *referentReader) lookAll(ctx context.Context, keys []snapshot.Key) {
	var all errgroup.Group
	all.SetLimit(gets)
	for _, key := range keys {
		all.Go(func() error { r.look(ctx, key); return nil })
	}
	_ = all.Wait()
}

// take are the referents that are due, and how long until the next is.
func (r *referentReader) take(now time.Time) (keys []snapshot.Key, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = time.Hour
	for key, at := range r.due {
		if wait := at.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		keys = append(keys, key)
		delete(r.due, key)
	}
	if len(keys) == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
	return keys, next
}

// look hands a referent on as it is now.
func (r *referentReader) look(ctx context.Context, key snapshot.Key) {
	r.mu.Lock()
	wanted, blind := r.wanted[key] > 0, r.blind[key.Kind]
	r.mu.Unlock()
	if !wanted {
		r.hand(key, nil)
		return
	}
	object, err := r.get(ctx, key)
	switch {
	case err == nil:
		strip(object, "")
		keepCertificates(object)
		r.hand(key, object)
	case apierrors.IsNotFound(err):
		r.hand(key, nil)
	case ctx.Err() == nil:
		r.fail(key, err)
		return
	}
	if blind {
		r.mu.Lock()
		r.lookLater(key, glance)
		r.mu.Unlock()
	}
}

// keepCertificates drops what else a referent holds. Who may write a listener may
// name any Secret in it, such as one with a token. Of what is too large enough stays
// to see that it is.
func keepCertificates(object snapshot.Object) {
	switch o := object.(type) {
	case *corev1.Secret:
		keep(o.Data, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	case *corev1.ConfigMap:
		keep(o.Data, certificateAuthority)
		keep(o.BinaryData, certificateAuthority)
	}
}

// maxReferent bounds what is kept of a certificate or a key, in bytes. It is one above
// the most that the translation takes, which so sees that it was more.
const maxReferent = 256<<10 + 1

func keep[V string | []byte](content map[string]V, names ...string) {
	maps.DeleteFunc(content, func(name string, _ V) bool { return !slices.Contains(names, name) })
	for name, value := range content {
		if len(value) > maxReferent {
			content[name] = V(bytes.Clone([]byte(value)[:maxReferent]))
		}
	}
}

// lookLater makes a referent due after a while, if it is not due before; the lock is held.
func (r *referentReader) lookLater(key snapshot.Key, wait time.Duration) {
	if _, already := r.due[key]; !already {
		r.due[key] = time.Now().Add(wait)
	}
}

// hand gives a referent to the translation, or takes it away.
func (r *referentReader) hand(key snapshot.Key, object snapshot.Object) {
	r.mu.Lock()
	_, failed := r.failures[key]
	delete(r.failures, key)
	given, was := r.given[key]
	delete(r.given, key)
	if object != nil {
		r.given[key] = object.GetResourceVersion()
	}
	r.mu.Unlock()
	if object == nil && was || object != nil && object.GetResourceVersion() != given {
		r.put(key, object)
	}
	if failed {
		r.nudge()
	}
}

// fail keeps what was handed on, and tries again later.
func (r *referentReader) fail(key snapshot.Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, again := r.failures[key]
	wait := firstRetry
	if again {
		wait = min(2*before.wait, lastRetry)
	}
	found := diagnostic.Diagnostic{
		Severity: diagnostic.Error,
		Object:   key,
		Message:  fmt.Sprintf("%s refers to the %s, which cannot be read: %s", referrers[key.Kind], key.Kind, firstLine(err)),
		Fix:      "it is tried again every few seconds",
	}
	if apierrors.IsForbidden(err) {
		k, _ := kindOf(key.Kind)
		found.Fix = fmt.Sprintf("give Sluice's ServiceAccount a role with get for %s in namespace %s; %s", k.resource, key.Namespace, found.Fix)
	}
	if before.found != found {
		r.log.Warn(fmt.Sprintf("a %s cannot be read", key.Kind), "object", key.String(), "error", firstLine(err), "fix", found.Fix)
		r.nudge()
	}
	r.failures[key] = failure{wait: wait, found: found}
	r.lookLater(key, wait/2+rand.N(wait/2))
}

func (r *referentReader) diagnostics() []diagnostic.Diagnostic {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []diagnostic.Diagnostic
	for _, f := range r.failures {
		all = append(all, f.found)
	}
	return all
}
