package http2

import (
	"slices"

	"golang.org/x/net/http2/hpack"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Limits bounds the decoded head of a message, and its trailer.
type Limits struct {
	// Bytes is the largest size of all fields, each with 32 bytes more (RFC 9113
	// section 6.5.2), which is what SETTINGS_MAX_HEADER_LIST_SIZE should tell.
	Bytes int
	// Fields is the largest number of fields; pseudo-header fields do not count,
	// and each part of a split Cookie does.
	Fields int
}

// DefaultLimits are those of HTTP/1.1.
var DefaultLimits = Limits{Bytes: 60 << 10, Fields: 100}

// MaxBlock is the largest coded block in bytes that is decoded to keep the table
// in step, although its fields are too large. A larger one is an error of the
// connection; whoever gathers a block need not gather more.
func (l Limits) MaxBlock() int { return 2 * l.Bytes }

// ErrTooLarge is a head above the limits. The table of the decoder is in step: the
// stream may be answered, and the connection go on.
var ErrTooLarge = &Error{Code: EnhanceYourCalm, Stream: ThisStream, Status: 431, Reason: "the fields are larger, or there are more of them, than the limits"}

// Errors of blocks.
var (
	errBlockSize   = &Error{Code: EnhanceYourCalm, Reason: "a header block is far larger than the limits"}
	errCompression = &Error{Code: CompressionError, Reason: "a header block is not HPACK (RFC 7541)"}
)

// Decoder decodes the blocks of one direction of one connection, in their order:
// each block must go through it, by Skip where nobody wants it, as later ones
// refer to what earlier ones said. Its errors are *Error: of ThisStream
// (ErrTooLarge among them), or of the connection, which must end then. What a
// message holds after an error means nothing.
//
// Its strings are views of nothing: they live as long as somebody keeps them.
type Decoder struct {
	limits Limits
	hpack  *hpack.Decoder
	fields fieldList // of the block in work
	// ofClient tells trailers of requests from those of responses.
	ofClient bool
}

// NewDecoder returns a decoder with a table of DefaultHPACKTable bytes.
func NewDecoder(limits Limits) *Decoder {
	d := &Decoder{limits: limits}
	d.hpack = hpack.NewDecoder(DefaultHPACKTable, d.take)
	return d
}

// Request decodes the block of a request into r. endStream says that neither a
// body nor trailers follow; r.BodyLength is 0 then. Scheme is left empty. An
// extended CONNECT to websocket (RFC 8441) becomes GET with Upgrade, without a
// body: the bytes that follow are the tunnel's.
func (d *Decoder) Request(block []byte, endStream bool, r *message.Request) error {
	r.Reset()
	d.ofClient = true
	err := d.decode(block, ofRequest, &r.Header)
	if err == nil {
		err = d.fields.finishRequest(endStream, r)
	}
	return d.done(err)
}

// Response decodes the block of a response to a request with the method.
// websocket says that the request was an extended CONNECT: what accepts it becomes
// 101 with Upgrade. A Status below 200 otherwise is that of an interim response,
// behind which another block follows.
func (d *Decoder) Response(block []byte, endStream bool, method string, websocket bool, r *message.Response) error {
	r.Reset()
	err := d.decode(block, ofResponse, &r.Header)
	if err == nil {
		err = d.fields.finishResponse(endStream, method, websocket, r)
	}
	return d.done(err)
}

// Trailer decodes a block of trailers into h. Fields that must not come in a
// trailer are left out (RFC 9110 section 6.5.1). That trailers come with
// END_STREAM is for the caller to hold.
func (d *Decoder) Trailer(block []byte, h *message.Header) error {
	h.Reset()
	kind := ofResponseTrailer
	if d.ofClient {
		kind = ofRequestTrailer
	}
	return d.done(d.decode(block, kind, h))
}

// Skip decodes a block that nobody wants. It has errors of the connection only.
func (d *Decoder) Skip(block []byte) error { return d.done(d.decode(block, skipped, nil)) }

// unpackedAtOnce is how much of a coded block in bytes is decoded before its fields
// are weighed: most blocks are smaller.
const unpackedAtOnce = 4 << 10

// decode passes the fields of a block to take, until one is wrong. Those that
// follow keep the table in step, unless they are a bomb: few bytes that are far
// more fields than the limits. Nothing honest is.
func (d *Decoder) decode(block []byte, kind blockKind, h *message.Header) *Error {
	if len(block) > d.limits.MaxBlock() {
		return errBlockSize
	}
	d.fields = fieldList{kind: kind, header: h, length: message.LengthUnknown}
	for part := range slices.Chunk(block, unpackedAtOnce) {
		if _, err := d.hpack.Write(part); err != nil {
			return errCompression
		}
		if d.fields.bytes > 2*d.limits.MaxBlock() {
			return errBlockSize
		}
	}
	if err := d.hpack.Close(); err != nil {
		return errCompression
	}
	return d.fields.err
}

// take gets one field after the other from HPACK.
func (d *Decoder) take(f hpack.HeaderField) {
	l := &d.fields
	if l.err != nil || l.kind == skipped {
		l.weigh(f.Name, f.Value)
		return
	}
	l.err = l.takeWithin(d.limits, f.Name, f.Value)
}

// done forgets the strings of the block, and makes an error of err.
func (d *Decoder) done(err *Error) error {
	d.fields = fieldList{}
	if err == nil {
		return nil
	}
	return err
}
