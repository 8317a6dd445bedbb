package kube

import (
	"log/slog"
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

// answered takes the error of a request. A refusal is an answer too.
func (r *reach) answered(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	away := err != nil && apierrors.ReasonForError(err) == ""
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
