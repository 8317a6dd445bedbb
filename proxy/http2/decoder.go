package http2

import (
	"github.com/sluicegateway/sluice/proxy/message"
)

// Limits bounds the decoded head of a message, and its trailer.
type Limits struct {
	// Bytes is the largest size of all fields, each with 32 bytes more (RFC 9113
	// section 6.5.2), which is what SETTINGS_MAX_HEADER_LIST_SIZE should tell.
	Bytes int
	// Fields is the largest number of fields; pseudo-header fields do not count.
	Fields int
}

// DefaultLimits are those of HTTP/1.1.
var DefaultLimits = Limits{Bytes: 60 << 10, Fields: 100}

// ErrTooLarge is a head above the limits. The table of the decoder is in step: the
// stream may be answered, and the connection go on.
var ErrTooLarge = &Error{Code: EnhanceYourCalm, Stream: ThisStream, Status: 431, Reason: "the fields are larger, or there are more of them, than the limits"}

// Decoder decodes the blocks of one direction of one connection, in their order:
// each block must go through it, by Skip where nobody wants it, as later ones
// refer to what earlier ones said. Its errors are *Error: of ThisStream
// (ErrTooLarge among them), or of the connection, which must end then.
type Decoder struct {
	limits Limits
}

// NewDecoder returns a decoder with a table of DefaultHPACKTable bytes.
func NewDecoder(limits Limits) *Decoder { return &Decoder{limits: limits} }

// Request decodes the block of a request into r. endStream says that neither a
// body nor trailers follow; r.BodyLength is 0 then.
func (d *Decoder) Request(block []byte, endStream bool, r *message.Request) error { panic("soon") }

// Response decodes the block of a response to a request with the method.
// websocket says that the request was an extended CONNECT: what accepts it becomes
// 101 with Upgrade. Status below 200 is an interim response, and another block follows.
func (d *Decoder) Response(block []byte, endStream bool, method string, websocket bool, r *message.Response) error {
	panic("soon")
}

// Trailer decodes a block of trailers into h. It comes with END_STREAM always,
// which is for the caller to hold.
func (d *Decoder) Trailer(block []byte, h *message.Header) error { panic("soon") }

// Skip decodes a block that nobody wants. It has errors of the connection only.
func (d *Decoder) Skip(block []byte) error { panic("soon") }
