// Package http3 carries HTTP/3 (RFC 9114) on QUIC to the handlers of a loop: a
// Listener is a UDP socket, a Session a client's connection, a Stream one request
// on it with its response. A Stream is a loop.Conn, so bodies and tunnels treat
// it as they treat any connection.
//
// QUIC itself is quic-go's, which has goroutines of its own; so whatever waits
// for a client does so on goroutines beside the loop. One per stream reads: the
// head (head.go), then a piece of the body at a time, the next when a handler has
// taken the last (read.go). What is written gathers and goes out on another one,
// for which the handler waits (write.go). All else belongs to the loop.
//
// Frames are parsed here and fields are held to the rules of package http2, so
// that a message of HTTP/3 is as strict as one of any other version. No dynamic
// table of QPACK is used, and nothing is taken before the handshake is complete
// (0-RTT could be replayed).
package http3

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sluicegateway/sluice/proxy/http2"
)

// ErrCode is the cause that ends a stream or a connection.
type ErrCode uint64

// Codes of RFC 9114 section 8.1 and RFC 9204 section 8.3.
const (
	NoError             ErrCode = 0x100
	InternalError       ErrCode = 0x102
	StreamCreationError ErrCode = 0x103
	ClosedCritical      ErrCode = 0x104
	FrameUnexpected     ErrCode = 0x105
	FrameError          ErrCode = 0x106
	ExcessiveLoad       ErrCode = 0x107
	SettingsError       ErrCode = 0x109
	MissingSettings     ErrCode = 0x10a
	RequestRejected     ErrCode = 0x10b
	RequestCancelled    ErrCode = 0x10c
	RequestIncomplete   ErrCode = 0x10d
	MessageError        ErrCode = 0x10e
	DecompressionFailed ErrCode = 0x200
)

// words are the codes' names in metrics and logs.
var words = map[ErrCode]string{
	NoError: "no_error", InternalError: "internal_error", StreamCreationError: "stream_creation_error", ClosedCritical: "closed_critical_stream",
	FrameUnexpected: "frame_unexpected", FrameError: "frame_error", ExcessiveLoad: "excessive_load", SettingsError: "settings_error",
	MissingSettings: "missing_settings", RequestRejected: "request_rejected", RequestCancelled: "request_cancelled",
	RequestIncomplete: "request_incomplete", MessageError: "message_error", DecompressionFailed: "decompression_failed",
}

// String is a word for the code, or the number of one that is not sent here.
func (c ErrCode) String() string {
	if word := words[c]; word != "" {
		return word
	}
	return fmt.Sprintf("code %#x", uint64(c))
}

// Error is what the peer did wrong.
type Error struct {
	// Code is what to tell it.
	Code ErrCode
	// Stream says that only the stream ends, and not the connection.
	Stream bool
	Reason string
}

// Error returns the code and the reason.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Reason }

// StreamError is a stream that ended before its time.
type StreamError struct {
	// Code is the cause that the peer told, or that we told it.
	Code ErrCode
}

// Error returns the code.
func (e *StreamError) Error() string { return "stream ended with " + e.Code.String() }

// Is makes it what a reset is for any other connection.
func (e *StreamError) Is(target error) bool { return target == syscall.ECONNRESET }

// Limits bound what one client may cost. Sizes are in bytes.
type Limits struct {
	// Head bounds the heads and trailers that the client sends, decoded.
	Head http2.Limits
	// HeadTimeout is the time from a stream's beginning to the end of its head.
	HeadTimeout time.Duration
	// EndWait is how long the end of a request that announces no body is waited
	// for. It comes with the head or shortly after; a request without it is sent
	// on as one whose body is still to come.
	EndWait time.Duration
	// Streams is how many requests are under way at once. One counts until its
	// handler has let go, even if the client has reset it.
	Streams int
	// StreamWindow is what the client may send on a stream before a handler takes
	// it; it grows to MaxStreamWindow where handlers are as fast as the client.
	// Window is the same for all streams of a connection together.
	StreamWindow, MaxStreamWindow, Window int
	// Handshake bounds the handshake.
	Handshake time.Duration
	// KeepAlive is how long a connection may be without requests.
	KeepAlive time.Duration
	// DrainTime is how long the announcement of a connection's end is given to
	// reach the client, and LingerTime how long it has to read its last bytes.
	DrainTime, LingerTime time.Duration
	// Rudeness is how many points a connection collects before it ends: see
	// score.go. At three quarters it is drained.
	Rudeness int
}

// DefaultLimits are safe for the open internet.
var DefaultLimits = Limits{
	Head:            http2.DefaultLimits,
	HeadTimeout:     10 * time.Second,
	EndWait:         time.Second,
	Streams:         100,
	StreamWindow:    64 << 10,
	MaxStreamWindow: 512 << 10,
	Window:          1 << 20,
	Handshake:       10 * time.Second,
	KeepAlive:       75 * time.Second,
	DrainTime:       time.Second,
	LingerTime:      time.Second,
	Rudeness:        1000,
}

// controlStreams is how many streams without a response a client may have open:
// three, and some of types that nobody knows, which are closed at once (RFC 9114
// section 6.2.3).
const controlStreams = 8

// settings are QUIC's. It has no others for a handshake that makes no progress
// than twice the time without a packet.
func (l *Limits) settings() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           l.Handshake / 2,
		MaxIdleTimeout:                 l.KeepAlive,
		KeepAlivePeriod:                l.KeepAlive / 3, // while requests wait for their responses
		InitialStreamReceiveWindow:     uint64(l.StreamWindow),
		MaxStreamReceiveWindow:         uint64(l.MaxStreamWindow),
		InitialConnectionReceiveWindow: uint64(l.Window),
		MaxConnectionReceiveWindow:     uint64(l.Window),
		MaxIncomingStreams:             int64(l.Streams),
		MaxIncomingUniStreams:          controlStreams,
		RequireStreamCreditRelease:     true,
	}
}

// causeOf turns an error of QUIC's into one that callers know.
func causeOf(err error) error {
	if stream, ok := errors.AsType[*quic.StreamError](err); ok {
		return &StreamError{Code: ErrCode(stream.ErrorCode)}
	}
	if gone(err) {
		return syscall.ECONNRESET
	}
	return err
}

// gone reports whether the connection has ended.
func gone(err error) bool {
	_, application := errors.AsType[*quic.ApplicationError](err)
	_, idle := errors.AsType[*quic.IdleTimeoutError](err)
	_, transport := errors.AsType[*quic.TransportError](err)
	_, reset := errors.AsType[*quic.StatelessResetError](err)
	return application || idle || transport || reset || errors.Is(err, quic.ErrTransportClosed)
}
