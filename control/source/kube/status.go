package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// StatusOptions are what a StatusWriter works with.
type StatusOptions struct {
	Client *Client
	// Latest is the object as the API server showed it last.
	Latest func(snapshot.Key) snapshot.Object
	// Controller is the name under which Sluice writes into the statuses of routes.
	Controller gatewayv1.GatewayController
	Log        *slog.Logger
}

// StatusWriter writes into objects what Sluice says of them, while its replica
// leads. It writes where an object does not say so already, and only its own
// part. Its methods may be called from any goroutine.
//
// Most statuses are applied server-side, so that conditions of others stay. The
// parents of a route are one field to the API server, whoever owns an entry: they
// are merged here, and the write fails where the route has changed meanwhile.
type StatusWriter struct {
	options StatusOptions
	writer  *writer

	mu     sync.Mutex
	wishes map[snapshot.Key]status.Status
}

// NewStatusWriter makes a StatusWriter that has nothing to say.
func NewStatusWriter(options StatusOptions) *StatusWriter {
	w := &StatusWriter{options: options, wishes: map[snapshot.Key]status.Status{}}
	w.writer = newWriter(w.write)
	return w
}

// Set says what an object's status should be; empty takes back what was said.
func (w *StatusWriter) Set(key snapshot.Key, s status.Status) {
	w.mu.Lock()
	w.wishes[key] = s
	w.mu.Unlock()
	w.writer.add(key)
}

// Seen says that the object has changed at the API server.
func (w *StatusWriter) Seen(key snapshot.Key) {
	w.mu.Lock()
	_, known := w.wishes[key]
	w.mu.Unlock()
	if known {
		w.writer.add(key)
	}
}

// Lead begins or ends the time in which this replica writes.
func (w *StatusWriter) Lead(leads bool) {
	w.writer.lead(leads)
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.wishes {
		w.writer.add(key)
	}
}

// Run writes until ctx ends.
func (w *StatusWriter) Run(ctx context.Context) { w.writer.run(ctx) }

func (w *StatusWriter) write(ctx context.Context, key snapshot.Key) time.Duration {
	object := w.options.Latest(key)
	wish, ok := w.wish(key, object != nil)
	if !ok || object == nil {
		return 0
	}
	patch, err := w.patch(object, wish)
	if err != nil {
		w.options.Log.Error("a status cannot be written", "object", key.String(), "error", err)
		return 0
	}
	if patch == nil {
		return 0
	}
	if _, isRoute := patch["metadata"]; isRoute {
		_, err = w.options.Client.Merge(ctx, key, patch, "status")
	} else {
		_, err = w.options.Client.Apply(ctx, key, patch, "status")
	}
	w.writer.wrote(key)
	if err == nil {
		return 0
	}
	return w.failed(ctx, key, err)
}

// wish is what the object's status should be. It forgets what was said of
// objects that are gone, or of which nothing is said any more.
func (w *StatusWriter) wish(key snapshot.Key, exists bool) (status.Status, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wish, ok := w.wishes[key]
	if ok && !exists && wish.Empty() {
		delete(w.wishes, key)
	}
	return wish, ok
}

// patch leads from the object's status to the wish; nil if it says that already.
func (w *StatusWriter) patch(object snapshot.Object, wish status.Status) (map[string]any, error) {
	have := status.Of(object)
	if have.Route != nil {
		return w.patchRoute(object, have.Route, wish)
	}
	content, err := statusContent(status.Stamp(have, wish, time.Now()))
	if err != nil {
		return nil, err
	}
	before, err := statusContent(have)
	if err != nil || says(before, content) {
		return nil, err
	}
	return map[string]any{"status": content}, nil
}

// patchRoute replaces the entries of this controller and leaves all others.
func (w *StatusWriter) patchRoute(object snapshot.Object, have *gatewayv1.RouteStatus, wish status.Status) (map[string]any, error) {
	own := gatewayv1.RouteStatus{}
	parents := []gatewayv1.RouteParentStatus{} // never null
	for _, p := range have.Parents {
		if p.ControllerName == w.options.Controller {
			own.Parents = append(own.Parents, p)
		} else {
			parents = append(parents, p)
		}
	}
	if wish.Route == nil {
		wish.Route = &gatewayv1.RouteStatus{}
	}
	want := status.Stamp(status.Status{Route: &own}, wish, time.Now())
	before, err := contentOf(own.Parents)
	if err != nil {
		return nil, err
	}
	after, err := contentOf(want.Route.Parents)
	if err != nil || reflect.DeepEqual(before, after) {
		return nil, err
	}
	return map[string]any{
		"metadata": map[string]any{"resourceVersion": object.GetResourceVersion()},
		"status":   map[string]any{"parents": append(parents, want.Route.Parents...)},
	}, nil
}

// statusContent is a status as the API writes it.
func statusContent(s status.Status) (map[string]any, error) {
	var value any = struct{}{}
	switch {
	case s.GatewayClass != nil:
		value = s.GatewayClass
	case s.Gateway != nil:
		value = s.Gateway
	case s.ListenerSet != nil:
		value = s.ListenerSet
	case s.Backend != nil:
		value = s.Backend
	}
	content, err := contentOf(value)
	if err != nil || content == nil {
		return map[string]any{}, err
	}
	return content.(map[string]any), nil
}

func contentOf(value any) (content any, err error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return content, json.Unmarshal(b, &content)
}

// says reports whether a status says what is wanted: the same, but that it may
// have conditions of others.
func says(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for name, value := range want {
			if name == "conditions" {
				if !hasConditions(have[name], value) {
					return false
				}
			} else if !says(have[name], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !says(have[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

// hasConditions reports whether each wanted condition is there.
func hasConditions(have, want any) bool {
	all, _ := have.([]any)
	wanted, _ := want.([]any)
	byType := map[any]any{}
	for _, c := range all {
		if condition, ok := c.(map[string]any); ok {
			byType[condition["type"]] = c
		}
	}
	for _, c := range wanted {
		condition, ok := c.(map[string]any)
		if !ok || !reflect.DeepEqual(byType[condition["type"]], c) {
			return false
		}
	}
	return true
}

// failed logs what somebody has to mend and says when to try again.
func (w *StatusWriter) failed(ctx context.Context, key snapshot.Key, err error) time.Duration {
	switch {
	case ctx.Err() != nil, apierrors.IsNotFound(err):
		return 0
	case apierrors.IsForbidden(err):
		k, _ := kindOf(key.Kind)
		w.options.Log.Warn("the API server does not let Sluice write a status", "object", key.String(), "error", firstLine(err),
			"fix", fmt.Sprintf("give Sluice's ServiceAccount a role with patch for %s/status in group %q; it is tried again every %v", k.resource, k.version.Group, resigned))
		return resigned
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		w.options.Log.Error("the API server refused a status", "object", key.String(), "error", firstLine(err))
		return resigned
	}
	w.options.Log.Debug("a status was not written and will be tried again", "object", key.String(), "error", firstLine(err))
	return backoff
}
