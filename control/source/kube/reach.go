package kube

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reach knows whether the API server answers, and logs each turn once, however
// many watches notice it.
type reach struct {
	log *slog.Logger

	mu   sync.Mutex
	lost time.Time // zero while it answers
}

// answered takes the end of a request. A refusal is an answer too.
func (r *reach) answered(err error) {
	away := away(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case away && r.lost.IsZero():
		r.lost = time.Now()
		r.log.Warn("the API server does not answer; what is known is served on", "error", err)
	case !away && !r.lost.IsZero():
		r.log.Info("the API server answers again", "after", time.Since(r.lost).Round(time.Millisecond))
		r.lost = time.Time{}
	}
}

func (r *reach) fine() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost.IsZero()
}

// errHungUp stands for a connection that ended before there was an answer to a
// watch, which client-go takes for a watch without events.
var errHungUp = errors.New("the API server closed the connection")

// away reports whether nobody answered, or only a load balancer in front of the
// API server, whose own answers always have the form of one.
func away(err error) bool {
	var transport *url.Error
	if errors.As(err, &transport) || errors.Is(err, errHungUp) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsUnexpectedServerError(err) {
		return false
	}
	code := status.Status().Code
	return code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout
}
