// Package http1 parses and writes the messages of HTTP/1.1 (RFC 9112) on bytes
// alone: it reads no connection, starts nothing and has no clock.
//
// It is strict. What two parsers may read in two ways is refused rather than
// guessed at, also where the RFC leaves a choice: two framings, repeated
// Content-Length (even if equal), lines that do not end in CRLF, folded fields,
// white space before a colon, control bytes, a Host that is no host. After an
// error nothing more of the connection may be parsed.
//
// Two things are dropped rather than refused, because honest clients send
// them: request and trailer fields with an underscore in their name, which many
// backends cannot tell from the same name with a hyphen, and valid chunk
// extensions.
//
// A parser reads the fields that concern one connection or one message's
// framing into the struct and takes them out of the header; a serialiser writes
// them from the struct, and ignores them in the header.
package http1

import "strconv"

// Limits bounds the head of a message.
type Limits struct {
	// RequestLine is the longest first line in bytes, without its CRLF; it
	// bounds status lines too.
	RequestLine int
	// HeaderBytes is the largest field section in bytes, with all line ends.
	HeaderBytes int
	// HeaderFields is the largest number of fields.
	HeaderFields int
}

// DefaultLimits are above what browsers, proxies and backends send in practice.
var DefaultLimits = Limits{RequestLine: 16 << 10, HeaderBytes: 60 << 10, HeaderFields: 100}

// Error is a message that cannot be accepted. The connection must be closed
// after the answer: where the next message would begin is not known.
type Error struct {
	// Status is what to answer the client: 400, 414, 417, 431, 501 or 505 for
	// a request, 502 for a response. It is 0 where the client does not speak HTTP,
	// and so would not understand an answer.
	Status int
	// Reason says what is wrong, for logs.
	Reason string
}

// Error returns the status and the reason.
func (e *Error) Error() string { return strconv.Itoa(e.Status) + ": " + e.Reason }
