package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// maxServing is the most bytes that a replica says of itself: the API server
	// takes 256 KiB of annotations.
	maxServing = 200 << 10
	// checkServing is how often a replica looks whether its Lease still says it.
	checkServing = 5 * time.Second
)

// ServingOptions are what a ServingWriter works with.
type ServingOptions struct {
	Client *Client
	// Latest is an object as the API server showed it last.
	Latest func(snapshot.Key) snapshot.Object
	// Namespace, Pod and PodUID are those of this replica.
	Namespace, Pod, PodUID string
	Log                    *slog.Logger
}

// ServingWriter says at the API server what this replica serves: on a Lease with
// the name of its Pod, which goes with the Pod. Set may be called from any goroutine.
type ServingWriter struct {
	options    ServingOptions
	key        snapshot.Key
	complaints complaints
	wake       chan struct{}
	once       atomic.Bool // it has been written

	mu   sync.Mutex
	want map[string]provision.Serving // nil as long as nothing was said
}

// NewServingWriter makes a ServingWriter that has said nothing.
func NewServingWriter(options ServingOptions) *ServingWriter {
	return &ServingWriter{
		options:    options,
		key:        snapshot.Key{Kind: snapshot.KindLease, Namespace: options.Namespace, Name: options.Pod},
		complaints: complaints{log: options.Log},
		wake:       make(chan struct{}, 1),
	}
}

// Set says what is served now, by "namespace/gateway". It must not be changed later.
func (w *ServingWriter) Set(serving map[string]provision.Serving) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want != nil && maps.EqualFunc(w.want, serving, func(a, b provision.Serving) bool { return reflect.DeepEqual(a, b) }) {
		return
	}
	if w.want = serving; serving == nil {
		w.want = map[string]provision.Serving{}
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Said reports whether the API server has ever taken what this replica serves.
func (w *ServingWriter) Said() bool { return w.once.Load() }

// Run writes until ctx ends: the first at once, and not more often than the pace.
func (w *ServingWriter) Run(ctx context.Context) {
	check := time.NewTicker(checkServing)
	defer check.Stop()
	wait := firstAgain
	for ctx.Err() == nil {
		select {
		case <-w.wake:
		case <-check.C:
			if w.said() {
				continue
			}
		case <-ctx.Done():
			return
		}
		for !w.write(ctx) && ctx.Err() == nil {
			sleep(ctx, halfChance(wait))
			wait = min(2*wait, checkServing)
		}
		wait = firstAgain
		sleep(ctx, pace)
	}
}

// said reports whether the Lease says what is served, as far as it was seen.
func (w *ServingWriter) said() bool {
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	lease := w.options.Latest(w.key)
	if want == nil {
		return true
	}
	text, _ := servingText(want)
	return lease != nil && lease.GetAnnotations()[v1alpha1.AnnotationServing] == text
}

// write says what is served, and reports whether the API server knows.
func (w *ServingWriter) write(ctx context.Context) bool {
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	text, left := servingText(want)
	if left > 0 {
		w.complaints.say("size", "this replica serves more than it can say; the Gateways with the most listeners will not be Programmed",
			"gateways", len(want), "unsaid", left, "limit", maxServing, "fix", "divide the Gateways among installations of Sluice")
	} else {
		w.complaints.settle("size")
	}
	_, err := w.options.Client.Apply(ctx, w.key, map[string]any{"metadata": map[string]any{
		"labels":      map[string]any{v1alpha1.LabelReplica: "true", v1alpha1.LabelManagedBy: v1alpha1.ManagedBySluice},
		"annotations": map[string]any{v1alpha1.AnnotationServing: text},
		"ownerReferences": []any{map[string]any{
			"apiVersion": "v1", "kind": "Pod", "name": w.options.Pod, "uid": w.options.PodUID,
		}},
	}}, "", true)
	switch verdict := verdictOn(err); {
	case ctx.Err() != nil:
		return false
	case verdict == fine:
		w.once.Store(true)
		w.complaints.settle("write")
	case verdict == passing:
		w.options.Log.Debug("what this replica serves was not said and will be tried again", "lease", w.key.String(), "error", firstLine(err))
	default:
		w.complaints.say("write", "this replica cannot say what it serves, and Gateways are not Programmed", "lease", w.key.String(), "error", firstLine(err),
			"fix", "give Sluice's ServiceAccount a role with create and patch for leases.coordination.k8s.io in its own namespace")
	}
	return err == nil
}

// servingText is what is served in JSON, as far as the limit goes, and how many
// Gateways are left out. The order is by size and then by name: one Gateway with
// thousands of listeners, which many may add, is to silence no other.
func servingText(serving map[string]provision.Serving) (text string, left int) {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(serving)) {
		entry, err := json.Marshal(map[string]provision.Serving{name: serving[name]})
		if err == nil {
			entries = append(entries, string(entry[1:len(entry)-1])) // without the braces
		}
	}
	slices.SortStableFunc(entries, func(a, b string) int { return len(a) - len(b) })
	size, fit := len("{}"), 0
	for fit < len(entries) && size+len(entries[fit])+1 <= maxServing {
		size += len(entries[fit]) + 1
		fit++
	}
	return "{" + strings.Join(entries[:fit], ",") + "}", len(serving) - fit
}
