// Package http2 parses and writes HTTP/2 (RFC 9113) on bytes alone: frames, and
// the HPACK blocks (RFC 7541) that hold the heads of messages. It reads no
// connection, starts nothing and has no clock; what a frame means to streams and
// windows is the affair of whoever calls.
//
// It is as strict as package http1, by the same functions where both have a
// question: what that refuses is refused here, so that a message of HTTP/2
// becomes one message of HTTP/1.1 and no other. What that drops (fields with an
// underscore in their name, in requests and trailers) is dropped here, but for
// the metadata of gRPC.
package http2

import (
	"fmt"
	"strconv"
)

// Preface is what a client sends first on a connection (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Bounds of RFC 9113.
const (
	FrameHeaderLen    = 9         // bytes before each payload, section 4.1
	MinMaxFrameSize   = 1 << 14   // the largest payload before SETTINGS say more, section 6.5.2
	MaxMaxFrameSize   = 1<<24 - 1 // section 6.5.2
	MaxWindow         = 1<<31 - 1 // section 6.9.1
	DefaultWindow     = 1<<16 - 1 // the window before SETTINGS say other, section 6.5.2
	MaxStream         = 1<<31 - 1 // the last identifier of a stream, section 5.1.1
	DefaultHPACKTable = 4096      // bytes, section 6.5.2; no larger table is ever used
)

// ErrCode is the cause that RST_STREAM and GOAWAY tell (RFC 9113 section 7).
type ErrCode uint32

// Codes of RFC 9113 section 7.
const (
	NoError ErrCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String is the name in the RFC, or the number of a code that it does not know.
func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// ThisStream is the Stream of an Error whose stream the function that returns it
// was not told: the one whose block it decoded. No stream has this identifier.
const ThisStream = 1 << 31

// Error is what the peer did wrong. Errors of this package are shared: At makes a
// copy to keep.
type Error struct {
	// Code is what to tell the peer.
	Code ErrCode
	// Stream is the stream that ends, 0 where the connection does (RFC 9113
	// section 5.4), or ThisStream.
	Stream uint32
	// Status is not 0 where the frames and fields are what HTTP/2 allows, but
	// the request is one that is not served: 400, 417, 431 or 501. It may be
	// answered with this status rather than reset.
	Status int
	// Reason says what is wrong, for logs.
	Reason string
}

// Error returns the code, the stream and the reason.
func (e *Error) Error() string {
	switch e.Stream {
	case 0:
		return fmt.Sprintf("connection error %v: %s", e.Code, e.Reason)
	case ThisStream:
		return fmt.Sprintf("stream error %v: %s", e.Code, e.Reason)
	}
	return fmt.Sprintf("stream %d: error %v: %s", e.Stream, e.Code, e.Reason)
}

// At is the error with ThisStream filled in. Errors of the connection stay so.
func (e *Error) At(stream uint32) *Error {
	if e.Stream != ThisStream {
		return e
	}
	filled := *e
	filled.Stream = stream
	return &filled
}
