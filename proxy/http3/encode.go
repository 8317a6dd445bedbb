package http3

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/quic-go/qpack"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// What is appended has no field that RFC 9114 forbids, whatever the strings of the
// message hold: a field with a control byte in it, or of a kind that HTTP/3 has
// not, is left out.

// appendResponse appends a HEADERS frame. end says that nothing follows. tunnel
// says that the request was an extended CONNECT: 101 becomes 200 then. Any other
// status that HTTP/3 has not becomes 502.
func appendResponse(dst []byte, r *message.Response, end, tunnel bool) []byte {
	status, accepts := r.Status, tunnel && r.Status == 101
	switch {
	case accepts:
		status = 200
	case status < 100 || status == 101 || status > 599:
		status = 502
	}
	var b block
	b.begin()
	b.add(":status", strconv.Itoa(status))
	for i := range r.Header.Fields {
		f := &r.Header.Fields[i]
		if message.KindOf(f.Name) == message.EndToEnd && !(accepts && message.EqualFold(f.Name, "Sec-WebSocket-Accept")) {
			b.addAny(f)
		}
	}
	if n, stated := http2.StatedLength(r, status, end); stated && !accepts {
		b.add("content-length", strconv.FormatInt(n, 10))
	}
	return b.append(dst)
}

// appendTrailer appends a HEADERS frame without what must not come in a trailer.
func appendTrailer(dst []byte, h *message.Header) []byte {
	var b block
	b.begin()
	for i := range h.Fields {
		if f := &h.Fields[i]; !message.Essential(f.Name) {
			b.addAny(f)
		}
	}
	return b.append(dst)
}

// block is one of fields, in QPACK without tables of its own.
type block struct {
	bytes   bytes.Buffer
	encoder *qpack.Encoder
}

func (b *block) begin() { b.encoder = qpack.NewEncoder(&b.bytes) }

func (b *block) add(name, value string) {
	_ = b.encoder.WriteField(qpack.HeaderField{Name: name, Value: value}) // a Buffer takes all
}

// addAny adds a field of whatever name and value, or leaves it out.
func (b *block) addAny(f *message.Field) {
	if message.IsToken(f.Name) && message.Printable(f.Value) {
		b.add(strings.ToLower(f.Name), message.TrimSpace(f.Value))
	}
}

func (b *block) append(dst []byte) []byte {
	if b.bytes.Len() == 0 { // two bytes begin each block
		b.bytes.Write([]byte{0, 0})
	}
	return append(appendHeader(dst, frameHeaders, b.bytes.Len()), b.bytes.Bytes()...)
}
