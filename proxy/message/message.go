// Package message holds the heads of requests and responses, whatever the
// version of HTTP that carried them.
//
// Strings of a message may point into the buffer that its head was parsed
// from: they are valid until Reset. Whoever keeps one longer clones it.
package message

// Body lengths that are not a number of bytes.
const (
	// LengthUnknown is a body whose end its framing tells (chunked, or the
	// end of the connection).
	LengthUnknown = -1
)

// Request is the head of a request.
type Request struct {
	Method string
	// Scheme is "http" or "https".
	Scheme string
	// Authority is the host and optional port that the client asked for
	// (RFC 9110 section 7.2), in lower case; Header has no Host field.
	Authority string
	// Path is normalised and starts with "/"; "*" only for OPTIONS.
	Path string
	// Query is without the "?"; HasQuery tells "/a?" from "/a".
	Query    string
	HasQuery bool
	// Major and Minor are the version of the message: 1.0, 1.1.
	Major, Minor uint8
	Header       Header
	// BodyLength is the number of bytes of the body, 0 for none, or LengthUnknown.
	BodyLength int64
	// Close says that the connection ends after this exchange.
	Close bool
	// ExpectContinue says that the client waits for 100 (Continue).
	ExpectContinue bool
	// Upgrade is the protocol of an Upgrade field that Connection names, else empty.
	Upgrade string
}

// Response is the head of a response.
type Response struct {
	Status       int
	Reason       string
	Major, Minor uint8
	Header       Header
	// BodyLength is the number of bytes of the body, 0 for none, or
	// LengthUnknown; UntilClose then tells a body that the end of the connection ends.
	BodyLength int64
	UntilClose bool
	// Close says that the connection ends after this exchange.
	Close bool
	// Upgrade is the protocol of an Upgrade field that Connection names, else empty.
	Upgrade string
}
