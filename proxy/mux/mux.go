// Package mux carries HTTP/2 (RFC 9113) on the connections of a loop.
package mux

import (
	"errors"
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/message"
)

// ServerOptions say how clients are served.
type ServerOptions struct {
	// Limits are the connection's; nil means DefaultLimits.
	Limits *Limits
	// Serve is called on the loop, outside any handler, when a request's head is
	// there. It starts a handler, which closes the stream in the end.
	Serve func(*Stream)
	// Closed is called once, on the loop, when the connection has ended. reason
	// is one word, of few and fixed ones, for a metric; empty where nothing went
	// wrong. err has the details.
	Closed func(reason string, err error)
}

// ClientOptions say how a backend is used.
type ClientOptions struct {
	// Limits are the connection's; nil means DefaultLimits.
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
	// ErrNoUpgrade says that the peer knows no extended CONNECT (RFC 8441).
	ErrNoUpgrade = errors.New("mux: the peer does not take extended CONNECT")
)

// StreamError is a stream that ended before its time.
type StreamError struct {
	// Code is the cause that the peer, or we, told.
	Code http2.ErrCode
	// Reason says more, for logs.
	Reason string
}

// Error returns the code and the reason.
func (e *StreamError) Error() string { return "stream ended with " + e.Code.String() + ": " + e.Reason }

// Session is an HTTP/2 connection. It belongs to its connection's loop.
type Session struct{ conn loop.Conn }

// Serve speaks HTTP/2 with a client. early is what was read of conn already.
func Serve(conn loop.Conn, early []byte, o *ServerOptions) *Session { panic("soon") }

// NewClient speaks HTTP/2 with a backend: it sends the preface at once.
func NewClient(conn loop.Conn, o *ClientOptions) *Session { panic("soon") }

// Open reserves a stream for a request: ErrFull, ErrGoingAway. It does not wait.
func (s *Session) Open() (*Stream, error) { panic("soon") }

// Room is how many streams Open would give.
func (s *Session) Room() int { panic("soon") }

// Streams is how many streams are open.
func (s *Session) Streams() int { panic("soon") }

// Upgrades reports whether the backend takes extended CONNECT (RFC 8441). It
// waits for its first SETTINGS, to the deadline at most. Handlers only.
func (s *Session) Upgrades(deadline time.Time) (bool, error) { panic("soon") }

// Drain lets the session end when its streams have.
func (s *Session) Drain() { panic("soon") }

// Close ends the session and its streams at once.
func (s *Session) Close() { panic("soon") }

// Stream is a request and its response. It implements loop.Conn: its bytes are
// those of DATA.
type Stream struct{ session *Session }

// Request moves the request's head into r, once, and takes r's memory for others.
func (st *Stream) Request(r *message.Request) { panic("soon") }

// WriteResponse sends an interim or the final head; end says that nothing follows.
// It waits for room. Handlers only.
func (st *Stream) WriteResponse(r *message.Response, end bool) error { panic("soon") }

// WriteRequest sends the head; end says that nothing follows. Handlers only.
func (st *Stream) WriteRequest(r *message.Request, end bool) error { panic("soon") }

// ReadResponse waits for the next head, interim or final. Handlers only.
func (st *Stream) ReadResponse(r *message.Response) error { panic("soon") }

// End ends this side of the stream, with trailers if there are any.
func (st *Stream) End(trailer *message.Header) error { panic("soon") }

// Trailer is what came behind the body, after io.EOF; nil without.
func (st *Stream) Trailer() *message.Header { panic("soon") }

// Next is Read without a copy: the bytes are valid until the next call.
func (st *Stream) Next() ([]byte, error) { panic("soon") }

// Buffered reports whether Next would not wait.
func (st *Stream) Buffered() bool { panic("soon") }

// Reset ends the stream with a cause.
func (st *Stream) Reset(code http2.ErrCode) { panic("soon") }

// Refused reports whether the peer has surely not processed the request.
func (st *Stream) Refused() bool { panic("soon") }

// Read implements loop.Conn.
func (st *Stream) Read(p []byte) (int, error) { panic("soon") }

// TryRead implements loop.Conn.
func (st *Stream) TryRead(p []byte) (int, error) { panic("soon") }

// Write implements loop.Conn.
func (st *Stream) Write(p []byte) (int, error) { panic("soon") }

// SetReadDeadline implements loop.Conn.
func (st *Stream) SetReadDeadline(t time.Time) { panic("soon") }

// SetWriteDeadline implements loop.Conn.
func (st *Stream) SetWriteDeadline(t time.Time) { panic("soon") }

// Notify implements loop.Conn.
func (st *Stream) Notify(fn func(err error)) { panic("soon") }

// StopNotify implements loop.Conn.
func (st *Stream) StopNotify() bool { panic("soon") }

// OnAbort implements loop.Conn.
func (st *Stream) OnAbort(fn func()) { panic("soon") }

// Splice implements loop.Conn: it is not supported.
func (st *Stream) Splice(loop.Conn, int64, time.Duration) (int64, error) {
	return 0, loop.ErrUnsupported
}

// CloseWrite implements loop.Conn.
func (st *Stream) CloseWrite() error { return st.End(nil) }

// Close implements loop.Conn.
func (st *Stream) Close() error { panic("soon") }

// Abort implements loop.Conn.
func (st *Stream) Abort() error { panic("soon") }

// LocalAddr implements loop.Conn.
func (st *Stream) LocalAddr() netip.AddrPort { return st.session.conn.LocalAddr() }

// RemoteAddr implements loop.Conn.
func (st *Stream) RemoteAddr() netip.AddrPort { return st.session.conn.RemoteAddr() }

// Loop implements loop.Conn.
func (st *Stream) Loop() loop.Loop { return st.session.conn.Loop() }

var _ loop.Conn = (*Stream)(nil)
