package proxy

import (
	"slices"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Action is what a rule does with a request, compiled. It is immutable but for
// the turns of Split and of the mirrors' samples.
type Action struct {
	Fault    *config.Fault
	Filters  *filter.Chain
	Targets  []Target
	Mirrors  []Mirror
	Timeouts config.Timeouts
	Retry    *config.Retry
	Metrics  *observe.Route
	// GRPC says that backends which may speak both versions get HTTP/2.
	GRPC bool
	// Split chooses among Targets by weight.
	Split *upstream.Split
}

// Target is one of a rule's backends.
type Target struct {
	Fault   *config.Fault
	Backend *upstream.Backend
	Filters *filter.Chain
	// Mirrors are those of the backendRef.
	Mirrors []Mirror
}

// Mirror is a backend that gets copies.
type Mirror struct {
	Backend *upstream.Backend
	Sample  *filter.Sample
}

// target chooses the backend of a request, nil if the rule has none that takes any.
func (a *Action) target(w *Worker) *Target {
	if len(a.Targets) == 0 {
		return nil
	}
	i := a.Split.Next(w.ID)
	if i < 0 {
		return nil
	}
	return &a.Targets[i]
}

// unfit says why no request goes to the target, which is nil if the rule has
// none that takes any (Gateway API, HTTPRouteRule.backendRefs).
func (t *Target) unfit() failure {
	switch {
	case t == nil:
		return noBackend
	case t.Fault != nil:
		return backendInvalid.as(t.Fault.Status)
	case t.Backend.Fault() != nil:
		return backendInvalid.as(t.Backend.Fault().Status)
	}
	return failure{}
}

// retries reports whether the status is one that the rule retries.
func (a *Action) retries(status int) bool {
	return a.Retry != nil && slices.Contains(a.Retry.Codes, status)
}

// defaultBackoff is the least time between two tries where a rule names none.
const defaultBackoff = 25 * time.Millisecond

func (a *Action) backoff() time.Duration {
	if a.Retry != nil && a.Retry.Backoff > 0 {
		return a.Retry.Backoff
	}
	return defaultBackoff
}

// attemptsLeft is how often the rule lets a request be sent again.
func (a *Action) attemptsLeft() int {
	if a.Retry == nil {
		return 0
	}
	return a.Retry.Attempts
}
