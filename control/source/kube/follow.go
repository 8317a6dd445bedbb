package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// firstRetry and lastRetry bound the wait between two attempts to follow a
	// kind; each wait is twice the one before, and its length is half chance.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 10 * time.Second
	// believed is how long a refusal must last to be believed. A server that has just
	// started, or one of several, may refuse what it will serve in a moment.
	believed = 2 * time.Second
)

// follower keeps the store's objects of one kind like the API server's.
type follower struct {
	source    *Source
	kind      kind
	sink      *sink
	reflector *cache.Reflector
	settled   sync.Once
	again     chan struct{} // asks for an attempt at once

	mu sync.Mutex
	// listed and watching say what has gone well since the last failure.
	listed, watching bool
	since            time.Time // when the server began to refuse it; zero if it does not
}

func (s *Source) follower(k kind, watcher *cache.ListWatch, example any) *follower {
	f := &follower{source: s, kind: k, again: make(chan struct{}, 1)}
	f.sink = &sink{kind: k, store: s.store, replaced: f.read}
	var into cache.ReflectorStore = f.sink
	if k.referent {
		into = referentSink{kind: k, reader: s.referents, listed: f.read}
	}
	// This is the reflector's wait before it watches on where it was.
	reconnect := wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 1, Steps: 10, Cap: lastRetry}
	f.reflector = cache.NewReflectorWithOptions(f.listening(watcher), example, into, cache.ReflectorOptions{Name: string(k.name), Backoff: &reconnect})
	return f
}

// listening notes what the server answers.
func (f *follower) listening(w *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := w.ListWithContextFunc(ctx, o)
			f.answered(ctx, err, false)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := w.WatchFuncWithContext(ctx, o)
			if err == nil && reflect.TypeOf(events) == reflect.TypeOf(watch.NewEmptyWatch()) {
				events, err = nil, errHungUp
			}
			f.answered(ctx, err, err == nil)
			if o.SendInitialEvents != nil && (utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)) {
				// The reflector would wait before its next attempt even where ctx ends.
				err = errors.New(err.Error())
			}
			return events, err
		},
	}
}

func (f *follower) answered(ctx context.Context, err error, watching bool) {
	if ctx.Err() != nil {
		return
	}
	f.source.reach.answered(err)
	f.mu.Lock()
	f.watching = f.watching || watching
	f.mu.Unlock()
	f.cheer()
}

// read is called when the store has all objects of the kind.
func (f *follower) read() {
	f.mu.Lock()
	f.listed = true
	f.mu.Unlock()
	f.settle()
	f.cheer()
}

// cheer says that the kind is followed, if it is.
func (f *follower) cheer() {
	f.mu.Lock()
	fine := f.listed && f.watching
	if fine {
		f.since = time.Time{}
	}
	f.mu.Unlock()
	if fine {
		f.source.find(f.kind, nil)
	}
}

// run follows until ctx ends, whatever the server does.
func (f *follower) run(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		start := time.Now()
		err := f.reflector.ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			break
		}
		f.ended(err)
		if time.Since(start) > lastRetry {
			wait = firstRetry
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
			wait = min(2*wait, lastRetry)
		case <-f.again:
			wait = firstRetry
		case <-ctx.Done():
		}
		timer.Stop()
	}
	f.settle()
}

// retry has the follower try at once, if it waits.
func (f *follower) retry() {
	select {
	case f.again <- struct{}{}:
	default:
	}
}

// settle says once that the kind holds up the start no more.
func (f *follower) settle() { f.settled.Do(f.source.waiting.Done) }

// ended takes why the kind is not followed any more; err may be nil.
func (f *follower) ended(err error) {
	f.mu.Lock()
	f.listed, f.watching = false, false
	if err == nil || away(err) {
		f.since = time.Time{}
	} else if f.since.IsZero() {
		f.since = time.Now()
	}
	refused, sure := !f.since.IsZero(), time.Since(f.since) >= believed
	f.mu.Unlock()
	if refused {
		f.refused(err, sure)
	}
}

// refused takes an answer of the server, which may come in error where it is not
// sure. A kind that the server does not have, or not for us, or that cannot be
// understood, does not hold up the others; a server with troubles does.
func (f *follower) refused(err error, sure bool) {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		if !sure && !f.source.undefined(f.kind) {
			return
		}
		f.source.store.clear(f.kind)
		f.source.find(f.kind, f.absent())
		f.settle()
	case !sure:
	case apierrors.IsForbidden(err):
		f.source.find(f.kind, f.forbidden(err))
		f.settle()
	default:
		f.source.find(f.kind, f.unreadable(err))
		if !errors.As(err, &status) {
			f.settle()
		}
	}
}

// bundleVersion is where definitions of the Gateway API say what release they are of.
const bundleVersion = "gateway.networking.k8s.io/bundle-version"

func (f *follower) absent() *diagnostic.Diagnostic {
	severity := diagnostic.Info
	if f.kind.served {
		severity = diagnostic.Warning
	}
	message := fmt.Sprintf("CustomResourceDefinition %s is not installed", f.kind.definition())
	if definition := f.source.definition(f.kind); definition != nil {
		message = fmt.Sprintf("CustomResourceDefinition %s does not serve version %s", f.kind.definition(), f.kind.version.Version)
		if bundle := definition.GetAnnotations()[bundleVersion]; bundle != "" {
			message += "; it is of release " + bundle
		}
	}
	return &diagnostic.Diagnostic{
		Severity: severity,
		Object:   snapshot.Key{Kind: f.kind.name},
		Message:  message + ", so objects of this kind are not served",
		Fix:      "install the definitions of the release that docs/cluster/install.md names; they are noticed at once",
	}
}

func (f *follower) forbidden(err error) *diagnostic.Diagnostic {
	resource := f.kind.resource
	if f.kind.version.Group != "" {
		resource += "." + f.kind.version.Group
	}
	verbs, where, meanwhile := "list and watch", "all namespaces", "what was read before is served on"
	switch {
	case f.kind.referent:
		verbs, meanwhile = "get, list and watch", fmt.Sprintf("those that something refers to are read one by one every %v", glance)
	case f.kind.replicas:
		where = "namespace " + f.source.options.Namespace
	}
	return &diagnostic.Diagnostic{
		Severity: diagnostic.Error,
		Object:   snapshot.Key{Kind: f.kind.name},
		Message:  fmt.Sprintf("the API server does not let Sluice read %s: %s", resource, firstLine(err)),
		Fix: fmt.Sprintf("give Sluice's ServiceAccount a role with %s for %s in %s; it is tried again every %v, and meanwhile %s",
			verbs, resource, where, lastRetry, meanwhile),
	}
}

func (f *follower) unreadable(err error) *diagnostic.Diagnostic {
	return &diagnostic.Diagnostic{
		Severity: diagnostic.Error,
		Object:   snapshot.Key{Kind: f.kind.name},
		Message:  fmt.Sprintf("%s cannot be read from the API server: %s", f.kind.resource, firstLine(err)),
		Fix:      fmt.Sprintf("see the API server's log; it is tried again every %v, and meanwhile what was read before is served on", lastRetry),
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func listMetadata(objects metadata.Getter) func(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return objects.List(ctx, o) }
}
