package proxy

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// failure is why an exchange failed: the status to answer with, and the word
// for the access log and the metrics. The zero failure is none.
type failure struct {
	status int
	reason string
}

func (f failure) none() bool { return f.reason == "" }

// as is the failure with another status.
func (f failure) as(status int) failure { return failure{status, f.reason} }

// All failures there are.
var (
	// The client sent what is not valid, ended too early or was too slow. The
	// status is that of the parser's error.
	clientMalformed     = failure{400, "client_malformed"}
	clientMalformedBody = failure{400, "client_malformed_body"}
	clientTimeout       = failure{408, "client_timeout"}
	clientClosed        = failure{400, "client_closed"}
	clientReset         = failure{499, "client_reset"} // in the log only: nobody is there to be answered
	clientMaxForwards   = failure{501, "client_max_forwards"}

	// The configuration has no answer, or a fault, which tells the status.
	noRoute        = failure{404, "no_route"}
	misdirected    = failure{421, "misdirected"} // to another listener than the connection is for
	noBackend      = failure{500, "no_backend"}
	noEndpoints    = failure{503, "no_endpoints"}
	ruleInvalid    = failure{500, "rule_invalid"}
	backendInvalid = failure{500, "backend_invalid"}

	// Nothing was sent, so the backend is unavailable rather than wrong, unless
	// it was silent for too long.
	connectTimeout  = failure{504, "upstream_connect_timeout"}
	connectFailures = map[string]failure{ // by upstream.Reason
		"refused":     {503, "upstream_connect_refused"},
		"reset":       {503, "upstream_connect_reset"},
		"timeout":     connectTimeout,
		"unreachable": {503, "upstream_connect_unreachable"},
		"denied":      {503, "upstream_connect_denied"},
		"no_socket":   {503, "upstream_connect_no_socket"},
		"exhausted":   {503, "upstream_connect_exhausted"},
		"resolve":     {503, "upstream_resolve_failed"},
		"forbidden":   {503, "upstream_connect_forbidden"},
		"stopped":     shutdown,
		"failed":      connectFailed,
		// Somebody is there, who is not, or does not speak, what was expected.
		"tls_verify":    {502, "upstream_tls_verify"},
		"tls_handshake": {502, "upstream_tls_handshake"},
		"alpn":          {502, "upstream_alpn"},
	}

	connectFailed = failure{503, "upstream_connect_failed"}

	// The backend got at least a part of the request.
	upstreamWriteTimeout = failure{504, "upstream_write_timeout"}
	upstreamTimeout      = failure{504, "upstream_timeout"}
	upstreamClosed       = failure{502, "upstream_closed"}
	upstreamReset        = failure{502, "upstream_reset"}
	upstreamMalformed    = failure{502, "upstream_malformed"}

	requestTimeout = failure{504, "request_timeout"} // the rule's, whoever was slow
	tunnelReset    = failure{502, "tunnel_reset"}    // a side of a tunnel was cut
	shutdown       = failure{503, "shutdown"}        // the drain has come to its limit
	memoryFull     = failure{503, "memory_full"}
)

// connectFailure names why no connection to a backend could be made.
func connectFailure(err error) failure {
	if f, known := connectFailures[upstream.Reason(err)]; known {
		return f
	}
	return connectFailed
}

// clientFailure names what went wrong in reading from the client or in writing to it.
func (x *exchange) clientFailure(err error) failure {
	var bad *http1.Error
	switch {
	case x.aborted:
		return clientReset
	case errors.As(err, &bad):
		return clientMalformedBody.as(bad.Status)
	case err == grpc.ErrText:
		return clientMalformedBody
	case errors.Is(err, os.ErrDeadlineExceeded) && x.overdue():
		return requestTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return clientTimeout
	case errors.Is(err, errTruncated):
		return clientClosed
	case stopped(err):
		return shutdown
	}
	return clientReset
}

// sendFailure names why a backend did not take a request.
func (x *exchange) sendFailure(err error) failure {
	switch {
	case err == nil:
		return failure{}
	case errors.Is(err, os.ErrDeadlineExceeded) && x.overdue():
		return requestTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return upstreamWriteTimeout
	}
	return upstreamReset
}

// receiveFailure names why no response came, or not all of it.
func (x *exchange) receiveFailure(err error) failure {
	var bad *http1.Error
	var badFrame *http2.Error
	switch {
	case x.aborted:
		return clientReset
	case !x.uploadErr.none():
		return x.uploadErr
	case errors.As(err, &bad), errors.As(err, &badFrame):
		return upstreamMalformed
	case errors.Is(err, os.ErrDeadlineExceeded) && x.overdue():
		return requestTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return upstreamTimeout
	case err == io.EOF, err == errTruncated:
		return upstreamClosed
	case stopped(err):
		return shutdown
	}
	return upstreamReset
}

// stopped reports whether a connection was closed on this side.
func stopped(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, loop.ErrStopped)
}

// overdue reports whether the time of the whole exchange is over.
func (x *exchange) overdue() bool { return !x.deadline.IsZero() && !x.Loop.Now().Before(x.deadline) }
