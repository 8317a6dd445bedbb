package kube

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// verdict is what to make of the end of a write.
type verdict int

const (
	fine verdict = iota
	// gone: there is nothing to write to any more.
	gone
	// passing: it may go well the next time, as after a conflict or a timeout.
	passing
	// forbidden: somebody has to give Sluice the right.
	forbidden
	// refused: it goes wrong until what is written, or a rule of the cluster, is another.
	refused
)

func verdictOn(err error) verdict {
	var answer apierrors.APIStatus
	switch {
	case err == nil:
		return fine
	case apierrors.IsNotFound(err), apierrors.IsGone(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return gone
	case apierrors.IsForbidden(err):
		return forbidden
	case !errors.As(err, &answer):
		return passing // no answer at all
	}
	status := answer.Status()
	switch code := int(status.Code); {
	case code >= http.StatusInternalServerError:
		return passing
	case code == http.StatusUnprocessableEntity && (status.Details == nil || len(status.Details.Causes) == 0):
		return passing // an edit that does not fit the object that there is by now
	case slices.Contains(passingCodes, code):
		return passing
	}
	return refused
}

// passingCodes are those of answers in the four hundreds that may be others the
// next time. A token that is not accepted any more is renewed by the kubelet.
var passingCodes = []int{http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests}

// complaints are logged once, as long as their reason lasts.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]bool
}

// say complains about something, if it has not since it was settled.
func (c *complaints) say(about, message string, details ...any) {
	c.mu.Lock()
	before := c.said[about]
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[about] = true
	c.mu.Unlock()
	if !before {
		c.log.Warn(message, details...)
	}
}

// settle takes that there is no reason to complain about something.
func (c *complaints) settle(about string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.said, about)
}
