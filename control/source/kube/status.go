package kube

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// StatusOptions are what a StatusWriter works with.
type StatusOptions struct {
	Client *Client
	// Source says what the objects say now.
	Source *Source
	// Controller is the name under which Sluice writes into the statuses of routes.
	Controller gatewayv1.GatewayController
	Log        *slog.Logger
}

// StatusWriter writes into objects what Sluice says of them, while its replica
// leads. It writes where an object does not say so already, and only its own
// part. Its methods may be called from any goroutine.
//
// Most statuses are applied server-side, so that conditions of others stay. The
// parents of a route and the ancestors of a policy are one field to the API server,
// whoever owns an entry: only those of this controller are edited, and the write
// fails where the object has changed meanwhile.
type StatusWriter struct {
	options    StatusOptions
	writer     *writer
	complaints complaints
	spoken     map[snapshot.Kind]bool // the kinds that get statuses

	mu     sync.Mutex
	wishes map[snapshot.Key]status.Status // none is empty
}

// NewStatusWriter makes a StatusWriter that has nothing to say.
func NewStatusWriter(options StatusOptions) *StatusWriter {
	w := &StatusWriter{
		options: options, complaints: complaints{log: options.Log},
		spoken: map[snapshot.Kind]bool{}, wishes: map[snapshot.Key]status.Status{},
	}
	for _, k := range kinds {
		w.spoken[k.name] = !status.Of(k.object()).Empty()
	}
	w.writer = newWriter(w.write)
	return w
}

// Set says what an object's status should be; empty takes back what was said.
func (w *StatusWriter) Set(key snapshot.Key, s status.Status) {
	w.mu.Lock()
	if s.Empty() {
		delete(w.wishes, key)
	} else {
		w.wishes[key] = s
	}
	w.mu.Unlock()
	w.writer.wish(key)
}

// Seen says that the object has changed at the API server.
func (w *StatusWriter) Seen(key snapshot.Key) {
	if !w.spoken[key.Kind] {
		return
	}
	if w.wish(key).Empty() {
		w.writer.later(key) // perhaps it is yet to be translated
	} else {
		w.writer.add(key)
	}
}

// Lead begins or ends the time in which this replica writes. What an earlier leader
// said of objects of which nobody speaks any more is taken back after a while.
func (w *StatusWriter) Lead(leads bool) {
	w.writer.lead(leads)
	if !leads {
		return
	}
	for kind, spoken := range w.spoken {
		if !spoken {
			continue
		}
		for _, object := range w.options.Source.all(kind) {
			w.Seen(snapshot.KeyOf(object))
		}
	}
}

// Run writes until ctx ends.
func (w *StatusWriter) Run(ctx context.Context) { w.writer.run(ctx) }

func (w *StatusWriter) wish(key snapshot.Key) status.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wishes[key]
}

func (w *StatusWriter) write(ctx context.Context, key snapshot.Key) (wrote bool, again time.Duration) {
	object, applied := w.options.Source.latest(key)
	if object == nil {
		w.complaints.settle(key.String())
		return false, 0
	}
	wish, have := w.wish(key), status.Of(object)
	var err error
	if have.Route != nil || have.Policy != nil {
		edits := w.edits(key, have, wish)
		if edits == nil {
			return false, 0
		}
		locked := Operation{Op: "replace", Path: "/metadata/resourceVersion", Value: object.GetResourceVersion()}
		_, err = w.options.Client.Edit(ctx, key, append([]Operation{locked}, edits...), "status")
	} else {
		patch, fault := statusPatch(have, wish, applied)
		if patch == nil || fault != nil {
			w.report(key, fault)
			return false, 0
		}
		_, err = w.options.Client.Apply(ctx, key, patch, "status", true)
	}
	if ctx.Err() != nil {
		return true, 0
	}
	return true, w.report(key, err)
}

// statusPatch leads from the status that an object has to the wish; nil if it says
// that already. The patch for no wish has no status, and what was applied goes.
func statusPatch(have, wish status.Status, applied *metav1.FieldsV1) (content, error) {
	if wish.Empty() {
		if applied == nil {
			return nil, nil
		}
		return content{}, nil
	}
	want, err := statusContent(status.Stamp(have, wish, time.Now()))
	if err != nil {
		return nil, err
	}
	before, err := statusContent(have)
	if err != nil || says(content{"status": want}, content{"status": before}, applied) {
		return nil, err
	}
	return content{"status": want}, nil
}

// statusContent is the status of an object that is applied, as the API has it.
func statusContent(s status.Status) (content, error) {
	switch {
	case s.GatewayClass != nil:
		return contentOf(s.GatewayClass)
	case s.Gateway != nil:
		return contentOf(s.Gateway)
	case s.ListenerSet != nil:
		return contentOf(s.ListenerSet)
	case s.Backend != nil:
		return contentOf(s.Backend)
	}
	return content{}, nil
}

// edits replace what this controller says of a route or a policy by the wish; nil
// if it is the same.
func (w *StatusWriter) edits(key snapshot.Key, have, wish status.Status) []Operation {
	now := time.Now()
	if have.Policy != nil {
		list := entriesOf(have.Policy.Ancestors, func(a gatewayv1.PolicyAncestorStatus) bool { return a.ControllerName == w.options.Controller })
		if wish.Policy == nil {
			wish.Policy = &gatewayv1.PolicyStatus{}
		}
		want := status.Stamp(status.Status{Policy: &gatewayv1.PolicyStatus{Ancestors: list.own}}, wish, now).Policy.Ancestors
		return list.edits("ancestors", w.fit(key, want, len(list.all)-len(list.own)))
	}
	list := entriesOf(have.Route.Parents, func(p gatewayv1.RouteParentStatus) bool { return p.ControllerName == w.options.Controller })
	if wish.Route == nil {
		wish.Route = &gatewayv1.RouteStatus{}
	}
	want := status.Stamp(status.Status{Route: &gatewayv1.RouteStatus{Parents: list.own}}, wish, now).Route.Parents
	return list.edits("parents", want)
}

// maxAncestors is the most that a policy's status takes.
const maxAncestors = 16

// fit leaves out the ancestors for which others have left no room.
func (w *StatusWriter) fit(key snapshot.Key, want []gatewayv1.PolicyAncestorStatus, others int) []gatewayv1.PolicyAncestorStatus {
	about, room := "ancestors of "+key.String(), max(maxAncestors-others, 0)
	if len(want) <= room {
		w.complaints.settle(about)
		return want
	}
	w.complaints.say(about, "a policy is in force for more than its status takes", "object", key.String(), "unsaid", len(want)-room,
		"fix", "divide the policy, or have controllers that are gone take back what they said")
	return want[:room]
}

// report logs what somebody has to mend, once, and says when to try again.
func (w *StatusWriter) report(key snapshot.Key, err error) time.Duration {
	k, _ := kindOf(key.Kind)
	switch verdictOn(err) {
	case fine:
		w.complaints.settle(key.String())
		w.complaints.settle(k.resource)
		return 0
	case gone:
		return 0
	case forbidden:
		w.complaints.say(k.resource, "the API server does not let Sluice write statuses of a kind",
			"object", key.String(), "error", firstLine(err),
			"fix", fmt.Sprintf("give Sluice's ServiceAccount a role with patch for %s/status in group %s; it is tried again every %v", k.resource, k.version.Group, resigned))
		return resigned
	case refused:
		w.complaints.say(key.String(), "the API server refused a status", "object", key.String(), "error", firstLine(err))
		return resigned
	}
	w.options.Log.Debug("a status was not written and will be tried again", "object", key.String(), "error", firstLine(err))
	return backoff
}
