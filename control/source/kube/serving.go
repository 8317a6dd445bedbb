package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// maxServing is the most bytes that a replica says of itself: the API server takes
// 256 KiB of annotations.
const maxServing = 200 << 10

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
	options ServingOptions
	wake    chan struct{}

	mu   sync.Mutex
	want map[string]provision.Serving
}

// NewServingWriter makes a ServingWriter that has said nothing.
func NewServingWriter(options ServingOptions) *ServingWriter {
	return &ServingWriter{options: options, wake: make(chan struct{}, 1)}
}

// Set says what is served now, by "namespace/gateway". It must not be changed later.
func (w *ServingWriter) Set(serving map[string]provision.Serving) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want != nil && reflect.DeepEqual(w.want, serving) {
		return
	}
	w.want = serving
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends.
func (w *ServingWriter) Run(ctx context.Context) {
	key := snapshot.Key{Kind: snapshot.KindLease, Namespace: w.options.Namespace, Name: w.options.Pod}
	check := time.NewTicker(resigned)
	defer check.Stop()
	wait := firstRetry
	for {
		select {
		case <-w.wake:
		case <-check.C:
			if w.options.Latest(key) != nil {
				continue
			}
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			err := w.write(ctx, key)
			if err == nil {
				wait = firstRetry
				break
			}
			w.options.Log.Warn("this replica cannot say what it serves; Gateways wait for it", "lease", key.String(), "error", firstLine(err))
			sleep(ctx, jittered(wait))
			wait = min(2*wait, lastRetry)
		}
	}
}

func (w *ServingWriter) write(ctx context.Context, key snapshot.Key) error {
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	if want == nil {
		return nil
	}
	content, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if len(content) > maxServing {
		w.options.Log.Error("this replica serves more Gateways than it can say; the last ones will not be programmed", "bytes", len(content), "limit", maxServing)
		content = []byte("{}")
	}
	_, err = w.options.Client.Apply(ctx, key, map[string]any{"metadata": map[string]any{
		"labels":      map[string]any{v1alpha1.LabelReplica: "true", v1alpha1.LabelManagedBy: v1alpha1.ManagedBySluice},
		"annotations": map[string]any{v1alpha1.AnnotationServing: string(content)},
		"ownerReferences": []any{map[string]any{
			"apiVersion": "v1", "kind": "Pod", "name": w.options.Pod, "uid": w.options.PodUID,
		}},
	}}, "")
	return err
}
