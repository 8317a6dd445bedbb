package grpc

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// The Content-Types of gRPC-Web begin with these; the second one's bodies are in base64.
const (
	webType     = "application/grpc-web"
	webTextType = "application/grpc-web-text"
)

// Web is the kind of a request of gRPC-Web.
type Web struct {
	// Text says that bodies are in base64.
	Text bool
	// Format is what follows the type, such as "+proto", often empty.
	Format string
}

// WebOf reads the Content-Type of a request of gRPC-Web.
func WebOf(contentType string) (w Web, ok bool) {
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.TrimRight(contentType, " \t")
	if w.Format, ok = cutType(contentType, webTextType); ok {
		w.Text = true
	} else if w.Format, ok = cutType(contentType, webType); !ok {
		return Web{}, false
	}
	if w.Format != "" && w.Format[0] != '+' {
		return Web{}, false
	}
	return w, true
}

// RequestType is the Content-Type of the request in gRPC.
func (w Web) RequestType() string { return ContentType + w.Format }

// ResponseType is the Content-Type of the response in gRPC-Web.
func (w Web) ResponseType() string {
	if w.Text {
		return webTextType + w.Format
	}
	return webType + w.Format
}

// trailerFlag marks the frame of a body that has the trailer.
const trailerFlag = 0x80

// AppendTrailer appends the frame that ends the body of a response: the trailer
// of the response in gRPC, nil for none, with names in lower case.
func AppendTrailer(dst []byte, trailer *message.Header) []byte {
	start := len(dst)
	dst = append(dst, trailerFlag, 0, 0, 0, 0)
	if trailer != nil {
		for _, f := range trailer.Fields {
			dst = append(dst, strings.ToLower(f.Name)...)
			dst = append(dst, ": "...)
			dst = append(dst, f.Value...)
			dst = append(dst, "\r\n"...)
		}
	}
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5))
	return dst
}

// TextEncoder writes a body in base64, piece by piece. The zero value is ready.
type TextEncoder struct {
	kept [3]byte // bytes that make no group of three yet
	n    int
}

// Append appends what can be written of p.
func (e *TextEncoder) Append(dst, p []byte) []byte {
	for e.n > 0 && len(p) > 0 {
		e.kept[e.n] = p[0]
		e.n, p = e.n+1, p[1:]
		if e.n == len(e.kept) {
			dst = base64.StdEncoding.AppendEncode(dst, e.kept[:])
			e.n = 0
		}
	}
	whole := len(p) / 3 * 3
	dst = base64.StdEncoding.AppendEncode(dst, p[:whole])
	e.n += copy(e.kept[e.n:], p[whole:])
	return dst
}

// Flush appends what is left, padded; more may follow.
func (e *TextEncoder) Flush(dst []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(dst, e.kept[:e.n])
	e.n = 0
	return dst
}

// ErrText says that a body is no base64.
var ErrText = errors.New("grpc: the body of a request of gRPC-Web is no base64")

// TextDecoder reads a body in base64, piece by piece: it may be several texts in
// a row, each with its padding. The zero value is ready.
type TextDecoder struct {
	kept [4]byte // of a group of four
	n    int
}

// Append appends what can be read of p. The error is ErrText.
func (d *TextDecoder) Append(dst, p []byte) ([]byte, error) {
	for len(p) > 0 {
		n := copy(d.kept[d.n:], p)
		p = p[n:]
		if d.n += n; d.n < len(d.kept) {
			break
		}
		d.n = 0
		var group [3]byte
		n, err := base64.StdEncoding.Strict().Decode(group[:], d.kept[:])
		if err != nil {
			return nil, ErrText
		}
		dst = append(dst, group[:n]...)
	}
	return dst, nil
}

// End says whether the body ended where it may: the error is ErrText.
func (d *TextDecoder) End() error {
	if d.n > 0 {
		return ErrText
	}
	return nil
}
