package kube

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// secretReader gets the Secrets that listeners refer to, when they appear, when
// their metadata change, and when somebody begins to refer to them.
type secretReader struct {
	get   func(context.Context, snapshot.Key) (snapshot.Object, error)
	batch *batch
	store *store // of the metadata
	log   *slog.Logger
	// first is closed when all Secrets that were wanted at the start have been tried.
	first chan struct{}
	wake  chan struct{}

	mu       sync.Mutex
	refs     map[snapshot.Key][]snapshot.Key // Secrets, by who refers to them
	wanted   map[snapshot.Key]int            // how many refer to a Secret
	due      map[snapshot.Key]time.Time      // Secrets to look at, and not before when
	failures map[snapshot.Key]failure
	given    map[snapshot.Key]string // resourceVersions of those that were handed on
}

// failure is why a Secret could not be read.
type failure struct {
	wait  time.Duration
	found diagnostic.Diagnostic
}

func newSecretReader(get func(context.Context, snapshot.Key) (snapshot.Object, error), b *batch, s *store, log *slog.Logger) *secretReader {
	return &secretReader{
		get: get, batch: b, store: s, log: log,
		first: make(chan struct{}), wake: make(chan struct{}, 1),
		refs: map[snapshot.Key][]snapshot.Key{}, wanted: map[snapshot.Key]int{}, due: map[snapshot.Key]time.Time{},
		failures: map[snapshot.Key]failure{}, given: map[snapshot.Key]string{},
	}
}

// refer takes the new state of an object that may refer to Secrets; nil is gone.
func (r *secretReader) refer(key snapshot.Key, object snapshot.Object) {
	next := snapshot.SecretRefs(object)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.refs[key]
	if len(next) == 0 && len(before) == 0 {
		return
	}
	for _, secret := range next {
		r.wanted[secret]++
	}
	for _, secret := range before {
		if r.wanted[secret]--; r.wanted[secret] == 0 {
			delete(r.wanted, secret)
		}
	}
	r.refs[key] = next
	if len(next) == 0 {
		delete(r.refs, key)
	}
	for _, secret := range append(next, before...) {
		r.due[secret] = time.Time{}
	}
	r.nudge()
}

// changed says that the metadata of a Secret changed.
func (r *secretReader) changed(key snapshot.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[key] > 0 {
		r.due[key] = time.Time{}
		r.nudge()
	}
}

func (r *secretReader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run looks at the Secrets that are due until ctx ends.
func (r *secretReader) run(ctx context.Context) {
	started := sync.OnceFunc(func() { close(r.first) })
	for ctx.Err() == nil {
		keys, next := r.take(time.Now())
		for _, key := range keys {
			r.look(ctx, key)
		}
		if len(keys) > 0 {
			continue
		}
		started()
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// take are the Secrets that are due, and how long until the next is.
func (r *secretReader) take(now time.Time) (keys []snapshot.Key, next time.Duration) {
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
	return keys, next
}

// look hands a Secret on as it is now.
func (r *secretReader) look(ctx context.Context, key snapshot.Key) {
	r.mu.Lock()
	wanted, given := r.wanted[key] > 0, r.given[key]
	r.mu.Unlock()
	metadata := r.store.get(key)
	if !wanted || metadata == nil {
		r.hand(key, nil)
		return
	}
	if metadata.GetResourceVersion() == given {
		return
	}
	secret, err := r.get(ctx, key)
	switch {
	case err == nil:
		secret.SetManagedFields(nil)
		delete(secret.GetAnnotations(), "kubectl.kubernetes.io/last-applied-configuration")
		r.hand(key, secret)
	case apierrors.IsNotFound(err):
		r.hand(key, nil)
	case ctx.Err() == nil:
		r.fail(key, err)
	}
}

// hand gives a Secret to the translation, or takes it away.
func (r *secretReader) hand(key snapshot.Key, secret snapshot.Object) {
	r.mu.Lock()
	_, failed := r.failures[key]
	delete(r.failures, key)
	_, was := r.given[key]
	delete(r.given, key)
	if secret != nil {
		r.given[key] = secret.GetResourceVersion()
	}
	r.mu.Unlock()
	if secret != nil || was {
		r.batch.put(key, secret)
	}
	if failed {
		r.batch.nudge()
	}
}

// fail keeps what was handed on, and tries again later.
func (r *secretReader) fail(key snapshot.Key, err error) {
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
		Message:  fmt.Sprintf("a listener refers to the Secret, which cannot be read: %s", firstLine(err)),
		Fix:      "it is tried again every few seconds",
	}
	if apierrors.IsForbidden(err) {
		found.Fix = "give Sluice's ServiceAccount a role with get for secrets; " + found.Fix
	}
	if before.found != found {
		r.log.Warn("a Secret cannot be read", "secret", key.Namespace+"/"+key.Name, "error", firstLine(err))
		r.batch.nudge()
	}
	r.failures[key] = failure{wait: wait, found: found}
	r.due[key] = time.Now().Add(wait/2 + rand.N(wait/2))
}

func (r *secretReader) diagnostics() []diagnostic.Diagnostic {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []diagnostic.Diagnostic
	for _, f := range r.failures {
		all = append(all, f.found)
	}
	return all
}
