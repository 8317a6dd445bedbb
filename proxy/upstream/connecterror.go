package upstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Reason is why a connection could not be made, as a word for logs and metrics.
type Reason string

// The reasons.
const (
	ReasonRefused     Reason = "connect_refused"
	ReasonReset       Reason = "connect_reset"
	ReasonTimeout     Reason = "connect_timeout"
	ReasonUnreachable Reason = "connect_unreachable"
	ReasonDenied      Reason = "connect_denied"
	ReasonNoSocket    Reason = "connect_no_socket"
	ReasonExhausted   Reason = "connect_exhausted"
	ReasonResolve     Reason = "resolve_failed"
	ReasonStopped     Reason = "stopped"
	ReasonOther       Reason = "connect_failed"
)

// ConnectError is a failed attempt to connect to an endpoint. Nothing of the
// request was sent.
type ConnectError struct {
	Endpoint *Endpoint
	Reason   Reason
	Err      error
}

func newConnectError(e *Endpoint, err error) *ConnectError {
	return &ConnectError{Endpoint: e, Reason: reasonOf(err), Err: err}
}

// Error names the backend, the endpoint and the cause.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("%s: endpoint %s: %v", e.Endpoint.backend.name, e.Endpoint, e.Err)
}

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// reasons in the order of what they tell: of a race whose attempts failed in
// different ways, a refusal says more than an unreachable family.
var reasons = []struct {
	err    error
	reason Reason
}{
	{loop.ErrStopped, ReasonStopped},
	{errResolve, ReasonResolve},
	{syscall.ECONNREFUSED, ReasonRefused},
	{syscall.ECONNRESET, ReasonReset},
	{fs.ErrNotExist, ReasonNoSocket},
	{fs.ErrPermission, ReasonDenied},
	// No descriptors, no local ports; for a unix socket a full backlog.
	{syscall.EMFILE, ReasonExhausted},
	{syscall.ENFILE, ReasonExhausted},
	{syscall.EADDRNOTAVAIL, ReasonExhausted},
	{syscall.EAGAIN, ReasonExhausted},
	{os.ErrDeadlineExceeded, ReasonTimeout},
	{syscall.ETIMEDOUT, ReasonTimeout},
	{syscall.EHOSTUNREACH, ReasonUnreachable},
	{syscall.ENETUNREACH, ReasonUnreachable},
}

func reasonOf(err error) Reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return ReasonOther
}
