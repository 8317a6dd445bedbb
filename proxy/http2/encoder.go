package http2

import (
	"github.com/sluicegateway/sluice/proxy/message"
)

// Encoder encodes the blocks of one direction of one connection; they must be
// sent in the order in which they were appended. It keeps no string that it was
// given.
type Encoder struct{}

// NewEncoder returns an encoder with a table of DefaultHPACKTable bytes.
func NewEncoder() *Encoder { return &Encoder{} }

// SetTableSize tells the peer's SETTINGS_HEADER_TABLE_SIZE. The table is never
// larger than DefaultHPACKTable.
func (e *Encoder) SetTableSize(n uint32) { panic("soon") }

// AppendRequest appends r as HEADERS, and CONTINUATION where it needs more than
// maxPayload, the peer's SETTINGS_MAX_FRAME_SIZE. end says that neither a body nor
// trailers follow. An Upgrade to websocket becomes an extended CONNECT (RFC 8441).
func (e *Encoder) AppendRequest(dst []byte, r *message.Request, stream uint32, end bool, maxPayload uint32) []byte {
	panic("soon")
}

// AppendResponse appends r likewise. websocket says that the request was an
// extended CONNECT: 101 becomes 200 then.
func (e *Encoder) AppendResponse(dst []byte, r *message.Response, stream uint32, end, websocket bool, maxPayload uint32) []byte {
	panic("soon")
}

// AppendTrailer appends h, which ends the stream. What must not come in a trailer
// is left out; an empty block is a valid one.
func (e *Encoder) AppendTrailer(dst []byte, h *message.Header, stream uint32, maxPayload uint32) []byte {
	panic("soon")
}
