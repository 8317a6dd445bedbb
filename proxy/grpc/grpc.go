// Package grpc is what gRPC says in HTTP: the kinds of its messages, timeouts
// and statuses ("gRPC over HTTP2", PROTOCOL-HTTP2.md), and gRPC-Web
// (PROTOCOL-WEB.md), which is gRPC for clients that know no trailers. It does
// no I/O.
package grpc

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
)

// ContentType begins the Content-Type of gRPC's requests and responses.
const ContentType = "application/grpc"

// Is reports whether a Content-Type is gRPC's. gRPC-Web's is none.
func Is(contentType string) bool {
	rest, ok := cutType(contentType, ContentType)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// cutType takes a type off the beginning of a Content-Type.
func cutType(contentType, known string) (rest string, ok bool) {
	if len(contentType) < len(known) || !message.EqualFold(contentType[:len(known)], known) {
		return "", false
	}
	return contentType[len(known):], true
}

// timeoutUnits are those of a grpc-timeout.
var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// maxTimeoutDigits is how many a grpc-timeout may have.
const maxTimeoutDigits = 8

// Timeout reads a grpc-timeout: how long the client waits for the end of the
// call. What is not valid is none.
func Timeout(value string) (time.Duration, bool) {
	if len(value) < 2 || len(value) > maxTimeoutDigits+1 {
		return 0, false
	}
	unit, ok := timeoutUnits[value[len(value)-1]]
	n, err := strconv.ParseUint(value[:len(value)-1], 10, 32)
	if !ok || err != nil {
		return 0, false
	}
	if n > uint64(math.MaxInt64/unit) { // hours, of which that many are eleven millennia
		return math.MaxInt64, true
	}
	return time.Duration(n) * unit, true
}

// Code is a status of gRPC.
type Code int

// The codes that a proxy answers with.
const (
	DeadlineExceeded  Code = 4
	PermissionDenied  Code = 7
	ResourceExhausted Code = 8
	Unimplemented     Code = 12
	Internal          Code = 13
	Unavailable       Code = 14
	Unauthenticated   Code = 16
	Unknown           Code = 2
)

// CodeOf is the status that stands for one of HTTP, as clients of gRPC read one
// that comes without a status of gRPC (http-grpc-status-mapping.md), but that a
// 504 tells of a deadline, and a 500 of what a GRPCRoute cannot lead anywhere
// (Gateway API, GRPCRouteRule.backendRefs).
func CodeOf(status int) Code {
	switch status {
	case 400, 431:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 500, 502, 503:
		return Unavailable
	case 504:
		return DeadlineExceeded
	}
	return Unknown
}

// StatusOf is the status that a header or a trailer has.
func StatusOf(h *message.Header) (code Code, ok bool) {
	value, ok := h.Lookup("Grpc-Status")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(value, 10, 16)
	return Code(n), err == nil
}

// SetStatus makes r the whole answer to a call: a response without a body whose
// header has the status ("Trailers-Only").
func SetStatus(r *message.Response, code Code, text string) {
	r.Status = 200
	r.Header.Set("Content-Type", ContentType)
	r.Header.Fields = append(r.Header.Fields, Trailer(code, text).Fields...)
}

// Trailer is the trailer that ends a call with a status.
func Trailer(code Code, text string) message.Header {
	return message.Header{Fields: []message.Field{
		{Name: "grpc-status", Value: strconv.Itoa(int(code))},
		{Name: "grpc-message", Value: encodeMessage(text)},
	}}
}

// encodeMessage is text as a Grpc-Message: bytes that are not printable, and "%",
// are percent-encoded.
func encodeMessage(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
