// Package mux carries HTTP/2 (RFC 9113) on the connections of a loop: a Session
// is such a connection, a Stream one request on it with its response. A Stream is
// a loop.Conn, so bodies and tunnels treat it as they treat any connection.
//
// A session reads outside any handler (input.go), a part per turn, and takes
// the frames one by one (frames.go, heads.go). What its streams write gathers
// (output.go) and leaves at the end of the turn, in one piece, by a handler that
// is there only for that. So an idle session holds neither handler nor buffer.
//
// Bytes are given back to the peer's windows when a handler takes them, and a
// handler that writes waits for the peer's. Everything else that a peer may make
// us do has a bound in Limits, or a price (score.go).
package mux

import (
	"errors"
	"syscall"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// ServerOptions say how clients are served.
type ServerOptions struct {
	// Limits are the connection's; nil means DefaultLimits.
	Limits *Limits
	// Serve is called on the loop, outside any handler, when a request's head is
	// there. It starts a handler, which closes the stream in the end.
	Serve func(*Stream)
	// Refused is called on the loop for a request that was not served because of
	// what its head says, with the status that it was answered with, or 0 where the
	// stream was reset. It may be nil.
	Refused func(status int)
	// Closed is called once, on the loop, when the connection has ended. reason
	// is one word, of few and fixed ones, for a metric; empty where nothing went
	// wrong. err has the details. It may be nil.
	Closed func(reason string, err error)
}

// ClientOptions say how a backend is used.
type ClientOptions struct {
	// Limits are the connection's; nil means DefaultLimits. They hold for
	// responses as for requests.
	Limits *Limits
	// Closed is as that of ServerOptions.
	Closed func(reason string, err error)
}

// Errors of Session.Open and Stream.WriteRequest.
var (
	// ErrFull says that as many streams are open as the peer, or our limits, allow.
	ErrFull = errors.New("mux: no stream is free on this connection")
	// ErrGoingAway says that the connection takes no more streams.
	ErrGoingAway = errors.New("mux: the connection takes no more streams")
	// ErrNoUpgrade says that the peer does not know extended CONNECT (RFC 8441).
	ErrNoUpgrade = errors.New("mux: the peer does not take extended CONNECT")
)

// errEnded is a Write after End, or before the head.
var errEnded = errors.New("mux: written to a stream that has ended, or has no head yet")

// errNotSent is the wait for a response to what was not sent.
var errNotSent = errors.New("mux: the request was not sent")

// StreamError is a stream that ended before its time.
type StreamError struct {
	// Code is the cause that the peer told, or that we told it.
	Code http2.ErrCode
	// Reason says more, for logs.
	Reason string
}

// Error returns the code and the reason.
func (e *StreamError) Error() string { return "stream ended with " + e.Code.String() + ": " + e.Reason }

// Is makes it what a reset is for any other connection.
func (e *StreamError) Is(target error) bool { return target == syscall.ECONNRESET }
