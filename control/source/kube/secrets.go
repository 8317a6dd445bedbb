package kube

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// gets is how many Secrets are read at the same time.
	gets = 8
	// glance is how often Secrets are read again that may not be watched.
	glance = time.Minute
)

// secretReader gets the Secrets that listeners refer to, when they appear, when
// their metadata change, and when somebody begins to refer to them.
type secretReader struct {
	get   func(context.Context, snapshot.Key) (snapshot.Object, error)
	put   func(snapshot.Key, snapshot.Object) // hands a Secret on; nil is gone
	nudge func()                              // says that there is something to tell
	log   *slog.Logger
	wake  chan struct{}

	mu     sync.Mutex
	refs   map[snapshot.Key][]snapshot.Key // Secrets, by who refers to them
	wanted map[snapshot.Key]int            // how many refer to a Secret
	due    map[snapshot.Key]time.Time      // Secrets to look at, and not before when
	// blind says that metadata may not be watched.
	blind    bool
	idle     chan struct{} // closed when nothing is due at once; nil if nothing is
	failures map[snapshot.Key]failure
	given    map[snapshot.Key]string // resourceVersions of those that were handed on
}

// failure is why a Secret could not be read.
type failure struct {
	wait  time.Duration
	found diagnostic.Diagnostic
}

func newSecretReader(get func(context.Context, snapshot.Key) (snapshot.Object, error), log *slog.Logger) *secretReader {
	return &secretReader{
		get: get, log: log, wake: make(chan struct{}, 1),
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
	for _, secret := range next {
		if r.wanted[secret]++; r.wanted[secret] == 1 {
			r.lookAt(secret)
		}
	}
	for _, secret := range before {
		if r.wanted[secret]--; r.wanted[secret] == 0 {
			delete(r.wanted, secret)
			r.lookAt(secret)
		}
	}
	if len(next) > 0 {
		r.refs[key] = next
	} else {
		delete(r.refs, key)
	}
}

// changed says that a Secret has changed, or is gone.
func (r *secretReader) changed(key snapshot.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[key] > 0 {
		r.lookAt(key)
	}
}

// listed takes the resourceVersions of all Secrets.
func (r *secretReader) listed(versions map[snapshot.Key]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.wanted {
		if r.given[key] != versions[key] {
			r.lookAt(key)
		}
	}
}

// watched says whether the metadata of Secrets may be watched.
func (r *secretReader) watched(may bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blind == !may {
		return
	}
	r.blind = !may
	for key := range r.wanted {
		r.lookAt(key)
	}
}

// lookAt makes a Secret due; the lock is held.
func (r *secretReader) lookAt(key snapshot.Key) {
	r.due[key] = time.Time{}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// held is closed when no Secret is due at once; it is nil if none is.
func (r *secretReader) held() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle
}

// run looks at the Secrets that are due until ctx ends.
func (r *secretReader) run(ctx context.Context) {
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

func (r *secretReader) lookAll(ctx context.Context, keys []snapshot.Key) {
	var all errgroup.Group
	all.SetLimit(gets)
	for _, key := range keys {
		all.Go(func() error { r.look(ctx, key); return nil })
	}
	_ = all.Wait()
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
	if len(keys) == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
	return keys, next
}

// look hands a Secret on as it is now.
func (r *secretReader) look(ctx context.Context, key snapshot.Key) {
	r.mu.Lock()
	wanted, blind := r.wanted[key] > 0, r.blind
	r.mu.Unlock()
	if !wanted {
		r.hand(key, nil)
		return
	}
	secret, err := r.get(ctx, key)
	switch {
	case err == nil:
		strip(secret, "")
		keepCertificate(secret)
		r.hand(key, secret)
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

// keepCertificate drops what else a Secret holds. Who may write a listener may name
// any Secret in it, such as one with a token.
func keepCertificate(object snapshot.Object) {
	if secret, ok := object.(*corev1.Secret); ok {
		maps.DeleteFunc(secret.Data, func(name string, _ []byte) bool {
			return name != corev1.TLSCertKey && name != corev1.TLSPrivateKeyKey
		})
	}
}

// lookLater makes a Secret due after a while, if it is not due before; the lock is held.
func (r *secretReader) lookLater(key snapshot.Key, wait time.Duration) {
	if _, already := r.due[key]; !already {
		r.due[key] = time.Now().Add(wait)
	}
}

// hand gives a Secret to the translation, or takes it away.
func (r *secretReader) hand(key snapshot.Key, secret snapshot.Object) {
	r.mu.Lock()
	_, failed := r.failures[key]
	delete(r.failures, key)
	given, was := r.given[key]
	delete(r.given, key)
	if secret != nil {
		r.given[key] = secret.GetResourceVersion()
	}
	r.mu.Unlock()
	if secret == nil && was || secret != nil && secret.GetResourceVersion() != given {
		r.put(key, secret)
	}
	if failed {
		r.nudge()
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
		found.Fix = fmt.Sprintf("give Sluice's ServiceAccount a role with get for secrets in namespace %s; %s", key.Namespace, found.Fix)
	}
	if before.found != found {
		r.log.Warn("a Secret cannot be read", "secret", key.Namespace+"/"+key.Name, "error", firstLine(err), "fix", found.Fix)
		r.nudge()
	}
	r.failures[key] = failure{wait: wait, found: found}
	r.lookLater(key, wait/2+rand.N(wait/2))
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
