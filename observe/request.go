// Package observe records what the data plane does: the access log and the
// metrics. It knows nothing of configuration and of sockets; whoever serves a
// request describes it by a [Request].
package observe

import (
	"net/netip"
	"time"
)

// Request describes one finished exchange. Its strings need to be valid only
// during the call that it is handed to.
type Request struct {
	// Start is when the first byte of the request was there, Duration the time
	// from then to the last byte of the response.
	Start    time.Time
	Duration time.Duration
	// UpstreamDuration is from the first attempt to the last byte of the
	// backend's response; zero if no backend was asked.
	UpstreamDuration time.Duration

	// Listener and Route are the names in the configuration, empty where none
	// was found. Rule is the rule's place in the route, from 0; it counts only
	// if Route is set. RuleName is often empty.
	Listener string
	Route    string
	Rule     int
	RuleName string
	// Backend is the backend's name, Endpoint the address that answered or failed last.
	Backend  string
	Endpoint string

	Method, Scheme, Host string
	// Path is without the query, which may hold secrets.
	Path string
	// Protocol is "HTTP/1.1".
	Protocol string
	// Status is the code sent to the client; 0 if none was.
	Status int
	// GRPCStatus is how a call of gRPC ended; it counts only if Call is set.
	Call       bool
	GRPCStatus int
	// RequestBytes and ResponseBytes count bodies, without heads and framing.
	RequestBytes, ResponseBytes int64
	Client                      netip.AddrPort
	RequestID                   string
	// Attempts counts the tries at backends; more than 1 means retries.
	Attempts int
	// Failure says who failed and how, as upstream_connect_refused or
	// client_reset; empty when nothing did. The words are few and fixed: they
	// become a label of a metric.
	Failure string
	// Cause says more of a failure to connect to a backend, as which name its
	// certificate lacks; often empty.
	Cause string
	// Upgrade says that the connection became a tunnel, such as a WebSocket.
	Upgrade bool
}
