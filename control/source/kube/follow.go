package kube

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
	lastRetry  = 30 * time.Second
)

// follower keeps the store's objects of one kind like the API server's.
type follower struct {
	source    *Source
	kind      kind
	sink      *sink
	reflector *cache.Reflector
	settled   sync.Once
	again     chan struct{} // asks for an attempt at once
	last      error         // of the server's answer to a list or a watch
}

func (s *Source) follower(k kind, watcher *cache.ListWatch, example any) *follower {
	f := &follower{source: s, kind: k, again: make(chan struct{}, 1)}
	f.sink = &sink{kind: k, store: s.store, replaced: f.read}
	f.reflector = cache.NewReflectorWithOptions(f.listening(watcher), example, f.sink, cache.ReflectorOptions{Name: string(k.name)})
	return f
}

// listening notes what the server answers: the reflector keeps some of it to itself.
func (f *follower) listening(w *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := w.ListWithContextFunc(ctx, o)
			f.answered(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := w.WatchFuncWithContext(ctx, o)
			f.answered(ctx, err)
			return events, err
		},
	}
}

func (f *follower) answered(ctx context.Context, err error) {
	if ctx.Err() == nil {
		f.last = err
		f.source.reach.answered(err)
	}
}

// run follows until ctx ends, whatever the server does.
func (f *follower) run(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		start := time.Now()
		err := f.reflector.ListAndWatchWithContext(ctx)
		if err == nil {
			err = f.last // of a watch that could not begin
		}
		f.refused(err)
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

// read is called when the store has all objects of the kind.
func (f *follower) read() {
	f.source.find(f.kind, nil)
	f.settle()
}

// settle says once that the kind holds up the start no more.
func (f *follower) settle() { f.settled.Do(f.source.waiting.Done) }

// refused takes an error of the server. A kind that the server does not have, or
// not for us, holds nobody up; a server that is away does.
func (f *follower) refused(err error) {
	switch {
	case apierrors.IsNotFound(err):
		_ = f.sink.Replace(nil, "")
		f.source.find(f.kind, f.absent())
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		f.source.find(f.kind, f.forbidden(err))
	default:
		return
	}
	f.settle()
}

// bundleVersion is where definitions of the Gateway API say what release they are of.
const bundleVersion = "gateway.networking.k8s.io/bundle-version"

func (f *follower) absent() *diagnostic.Diagnostic {
	severity := diagnostic.Info
	if f.kind.served {
		severity = diagnostic.Warning
	}
	message := fmt.Sprintf("CustomResourceDefinition %s is not installed", f.kind.definition())
	if definition := f.source.store.get(snapshot.Key{Kind: snapshot.KindCustomResourceDefinition, Name: f.kind.definition()}); definition != nil {
		message = fmt.Sprintf("CustomResourceDefinition %s does not serve version %s", f.kind.definition(), f.kind.version.Version)
		if bundle := definition.GetAnnotations()[bundleVersion]; bundle != "" {
			message += "; it is of release " + bundle
		}
	}
	return &diagnostic.Diagnostic{
		Severity: severity,
		Object:   snapshot.Key{Kind: f.kind.name},
		Message:  message + ", so objects of this kind are not served",
		Fix:      "install the definitions of the release that docs/install.md names; they are noticed at once",
	}
}

func (f *follower) forbidden(err error) *diagnostic.Diagnostic {
	resource := f.kind.resource
	if f.kind.version.Group != "" {
		resource += "." + f.kind.version.Group
	}
	verbs := "list and watch"
	if f.kind.name == snapshot.KindSecret {
		verbs = "get, list and watch"
	}
	return &diagnostic.Diagnostic{
		Severity: diagnostic.Error,
		Object:   snapshot.Key{Kind: f.kind.name},
		Message:  fmt.Sprintf("the API server does not let Sluice read %s: %s", resource, firstLine(err)),
		Fix:      fmt.Sprintf("give Sluice's ServiceAccount a role with %s for %s; it is tried again every %v", verbs, resource, lastRetry),
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func listMetadata(objects metadata.Getter) func(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return objects.List(ctx, o) }
}
