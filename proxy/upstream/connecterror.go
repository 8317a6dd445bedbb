package upstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// ConnectError is a failed attempt to connect to an endpoint. Nothing of the
// request was sent. [Reason] tells in a word what Err says at length.
type ConnectError struct {
	Endpoint *Endpoint
	Err      error
}

// Error names the backend, the endpoint and the cause.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("%s: endpoint %s: %v", e.Endpoint.backend.name, e.Endpoint, e.Err)
}

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// reasons in the order of what they tell: of a race whose attempts failed in
// different ways, a refusal says more than a family that is unreachable.
var reasons = []struct {
	err    error
	reason string
}{
	{loop.ErrStopped, "stopped"},
	{errResolve, "resolve"},
	{errForbidden, "forbidden"},
	{errUntrusted, "tls_verify"},
	{errNoProtocol, "alpn"},
	{errHandshake, "tls_handshake"},
	{syscall.ECONNREFUSED, "refused"},
	{syscall.ECONNRESET, "reset"},
	{fs.ErrNotExist, "no_socket"},
	{fs.ErrPermission, "denied"},
	// No streams, no descriptors, no local ports; for a unix socket a full backlog.
	{errFull, "exhausted"},
	{syscall.EMFILE, "exhausted"},
	{syscall.ENFILE, "exhausted"},
	{syscall.EADDRNOTAVAIL, "exhausted"},
	{syscall.EAGAIN, "exhausted"},
	{os.ErrDeadlineExceeded, "timeout"},
	{syscall.ETIMEDOUT, "timeout"},
	{syscall.EHOSTUNREACH, "unreachable"},
	{syscall.ENETUNREACH, "unreachable"},
}

// Reason says in one word, for logs and metrics, why no connection could be
// made: refused, reset, timeout, unreachable, denied, no_socket, exhausted (of
// descriptors, ports or streams), resolve, forbidden (to a restricted backend),
// stopped; of TLS tls_verify, tls_handshake and alpn (the endpoint does not speak
// the protocol); or failed for anything else.
func Reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return "failed"
}
