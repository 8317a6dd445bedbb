package http2

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sluicegateway/sluice/proxy/message"
)

// What an encoder appends has no field that RFC 9113 forbids, whatever the strings
// of the message hold: a field with a control byte in it, or of a kind that HTTP/2
// has not, is left out, such bytes in a pseudo-header field are percent-encoded,
// and Content-Length comes from the struct alone.

// Encoder encodes the blocks of one direction of one connection; they must be
// sent in the order in which they were appended. It keeps no string that it was
// given. Names go out in lower case.
type Encoder struct {
	table   table
	resized bool // the next block must tell table.max (RFC 7541 section 4.2)

	name, value []byte // of the field in work
}

// NewEncoder returns an encoder with a table of DefaultHPACKTable bytes.
func NewEncoder() *Encoder { return &Encoder{table: table{max: DefaultHPACKTable}} }

// SetTableSize tells the peer's SETTINGS_HEADER_TABLE_SIZE. The table is never
// larger than DefaultHPACKTable. Between two blocks it can only shrink: a block
// that tells two sizes, as it may have to otherwise, is more than some peers read.
func (e *Encoder) SetTableSize(n uint32) {
	size := int(min(n, DefaultHPACKTable))
	if e.resized {
		size = min(size, e.table.max)
	}
	if size != e.table.max {
		e.resized = true
		e.table.setMax(size)
	}
}

// AppendRequest appends r as HEADERS, and CONTINUATION where it needs more than
// maxPayload, the peer's SETTINGS_MAX_FRAME_SIZE. end says that neither a body nor
// trailers follow. A GET with an Upgrade to websocket becomes an extended CONNECT
// (RFC 8441); another Upgrade is left out. A Scheme other than "https" is "http".
func (e *Encoder) AppendRequest(dst []byte, r *message.Request, stream uint32, end bool, maxPayload uint32) []byte {
	start := len(dst)
	dst = e.begin(dst, stream, end)
	method, tunnel := r.Method, r.Method == "GET" && message.EqualFold(r.Upgrade, websocket)
	if tunnel {
		method = "CONNECT"
		dst = e.appendField(dst, ":protocol", websocket, plain)
	}
	dst = e.appendField(dst, ":method", token(method), indexing)
	scheme := "http"
	if r.Scheme == "https" {
		scheme = "https"
	}
	dst = e.appendField(dst, ":scheme", scheme, indexing)
	if authority := cmp.Or(r.Spelling, r.Authority); authority != "" {
		dst = e.appendField(dst, ":authority", visible(authority), indexing)
	}
	dst = e.appendPath(dst, r)
	dst = e.appendHeader(dst, &r.Header, tunnel)
	if hasLength := r.BodyLength > 0 && !end || r.BodyLength == 0 && expectsBody(r.Method); hasLength && !tunnel {
		dst = e.appendLength(dst, r.BodyLength)
	}
	if r.ExpectContinue {
		dst = e.appendField(dst, "expect", "100-continue", indexing)
	}
	if r.AcceptTrailers {
		dst = e.appendField(dst, "te", "trailers", indexing)
	}
	return finish(dst, start, stream, maxPayload)
}

// expectsBody reports whether a request that has no body says so (RFC 9110 section 8.6).
func expectsBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// appendPath appends :path. Those of gRPC are few and come again and again.
func (e *Encoder) appendPath(dst []byte, r *message.Request) []byte {
	how := plain
	if r.AcceptTrailers && !r.HasQuery {
		how = indexing
	}
	path := r.Path
	if r.HasQuery {
		e.value = append(append(append(e.value[:0], r.Path...), '?'), r.Query...)
		path = view(e.value)
	}
	return e.appendField(dst, ":path", visible(path), how)
}

// AppendResponse appends r likewise. tunnel says that the request was an extended
// CONNECT: 101 becomes 200 then. Any other status that HTTP/2 has not becomes 502.
// A response without a body, and without a DeclaredLength above 0, states no length
// where end says that nothing follows.
func (e *Encoder) AppendResponse(dst []byte, r *message.Response, stream uint32, end, tunnel bool, maxPayload uint32) []byte {
	start := len(dst)
	dst = e.begin(dst, stream, end)
	status, accepts := r.Status, tunnel && r.Status == 101
	switch {
	case accepts:
		status = 200
	case status < 100 || status == 101 || status > 599:
		status = 502
	}
	e.value = strconv.AppendInt(e.value[:0], int64(status), 10)
	dst = e.appendField(dst, ":status", view(e.value), indexing)
	dst = e.appendHeader(dst, &r.Header, accepts)
	if n, stated := StatedLength(r, status, end); stated && !accepts {
		dst = e.appendLength(dst, n)
	}
	return finish(dst, start, stream, maxPayload)
}

// StatedLength is the Content-Length of a response that goes out with a status
// (RFC 9110 section 8.6), if it states one. end says that nothing follows the head.
func StatedLength(r *message.Response, status int, end bool) (n int64, stated bool) {
	switch {
	case r.BodyLength == 0 && r.DeclaredLength > 0 && (status == 304 || !bodiless(status)):
		return r.DeclaredLength, true
	case bodiless(status) || end || r.BodyLength == 0 && r.DeclaredLength == message.LengthUnknown:
		return 0, false
	}
	return r.BodyLength, r.BodyLength >= 0
}

// AppendTrailer appends h, which ends the stream. What must not come in a trailer
// is left out. h may be nil, and a block without fields is a valid one.
func (e *Encoder) AppendTrailer(dst []byte, h *message.Header, stream uint32, maxPayload uint32) []byte {
	start := len(dst)
	dst = e.begin(dst, stream, true)
	if h != nil {
		for i := range h.Fields {
			if f := &h.Fields[i]; !message.Essential(f.Name) {
				dst = e.appendAny(dst, f)
			}
		}
	}
	return finish(dst, start, stream, maxPayload)
}

// begin appends the header of a HEADERS frame, and what the block must start with.
func (e *Encoder) begin(dst []byte, stream uint32, end bool) []byte {
	dst = AppendFrameHeader(dst, 0, FrameHeaders, FlagEndHeaders|endStream(end), stream)
	if e.resized {
		dst = appendInteger(dst, sizeUpdate, 5, e.table.max)
		e.resized = false
	}
	return dst
}

// finish writes the size of the frame that begins at start, or cuts it into
// frames of maxPayload.
func finish(dst []byte, start int, stream, maxPayload uint32) []byte {
	size, most := len(dst)-start-FrameHeaderLen, int(maxPayload)
	putSize(dst[start:], min(size, most))
	if size <= most {
		return dst
	}
	dst[start+4] &^= byte(FlagEndHeaders)
	for at := start + FrameHeaderLen + most; size > most; at += FrameHeaderLen + most {
		size -= most
		flags := Flags(0)
		if size <= most {
			flags = FlagEndHeaders
		}
		var header [FrameHeaderLen]byte
		dst = slices.Insert(dst, at, AppendFrameHeader(header[:0], min(size, most), FrameContinuation, flags, stream)...)
	}
	return dst
}

func putSize(frame []byte, size int) {
	frame[0], frame[1], frame[2] = byte(size>>16), byte(size>>8), byte(size)
}

// appendHeader appends end-to-end fields. In a tunnel there is no key of the
// WebSocket handshake (RFC 8441 section 5).
func (e *Encoder) appendHeader(dst []byte, h *message.Header, tunnel bool) []byte {
	for i := range h.Fields {
		f := &h.Fields[i]
		if message.KindOf(f.Name) != message.EndToEnd || tunnel && isWebSocketKey(f.Name) {
			continue
		}
		dst = e.appendAny(dst, f)
	}
	return dst
}

func isWebSocketKey(name string) bool {
	return message.EqualFold(name, "Sec-WebSocket-Key") || message.EqualFold(name, "Sec-WebSocket-Accept")
}

// appendAny appends a field of whatever name and value, or leaves it out.
func (e *Encoder) appendAny(dst []byte, f *message.Field) []byte {
	if !message.IsToken(f.Name) || !message.Printable(f.Value) {
		return dst
	}
	name := e.lower(f.Name)
	return e.appendField(dst, name, message.TrimSpace(f.Value), representations[name])
}

func (e *Encoder) appendLength(dst []byte, n int64) []byte {
	e.value = strconv.AppendInt(e.value[:0], n, 10)
	return e.appendField(dst, "content-length", view(e.value), plain)
}

// lower is name in lower case, valid until the next call.
func (e *Encoder) lower(name string) string {
	upper := false
	for i := range len(name) {
		upper = upper || 'A' <= name[i] && name[i] <= 'Z'
	}
	if !upper {
		return name
	}
	e.name = e.name[:0]
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		e.name = append(e.name, c)
	}
	return view(e.name)
}

// token is s with what no token holds percent-encoded.
func token(s string) string {
	if message.IsToken(s) {
		return s
	}
	return escape(s, message.TokenByte)
}

// visible is s with white space and control bytes percent-encoded.
func visible(s string) string {
	if message.Printable(s) && strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '\t') < 0 {
		return s
	}
	return escape(s, func(c byte) bool { return c > ' ' && c != 0x7F })
}

func escape(s string, clear func(byte) bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; clear(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// view makes a string of bytes that stay as they are while it is used.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
