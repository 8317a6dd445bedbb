package http1

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// What the functions of this file append is one message head, whatever the
// strings hold: a field with a control byte in it is left out, such bytes in a
// first line are percent-encoded, and the framing comes from the struct alone.

// AppendRequest appends the head of r in origin-form, ready for a backend. The
// body that follows has the framing that BodyLength tells: chunks for
// LengthUnknown. A request without a body states so only where its method
// makes one expect it (RFC 9110 section 8.6).
func AppendRequest(dst []byte, r *message.Request) []byte {
	dst = appendVisible(dst, r.Method)
	dst = append(dst, ' ')
	dst = appendVisible(dst, r.Path)
	if r.HasQuery {
		dst = append(dst, '?')
		dst = appendVisible(dst, r.Query)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = appendVisible(dst, cmp.Or(r.Spelling, r.Authority))
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, &r.Header, r.Underscores)
	switch {
	case r.BodyLength == message.LengthUnknown:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.BodyLength > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH":
		dst = appendLength(dst, r.BodyLength)
	}
	if r.ExpectContinue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	if r.AcceptTrailers {
		dst = append(dst, "TE: trailers\r\n"...)
	}
	if r.Upgrade != "" {
		dst = appendField(dst, &message.Field{Name: "Upgrade", Value: r.Upgrade})
	}
	dst = appendConnection(dst, r.Close, r.AcceptTrailers, r.Upgrade != "")
	return append(dst, '\r', '\n')
}

// Chunked reports whether the body behind AppendResponse's head goes out in
// chunks. Without chunks and without a length, the end of the connection ends it.
func Chunked(r *message.Response, clientMinor uint8) bool {
	return r.BodyLength == message.LengthUnknown && clientMinor > 0 && !bodiless(r.Status)
}

// AppendResponse appends the head of r for a client that spoke HTTP/1.clientMinor.
// The framing of the body that follows is what BodyLength and Chunked tell;
// UntilClose is of the connection that the response came on and does not count.
// A status without a reason gets its usual one.
func AppendResponse(dst []byte, r *message.Response, clientMinor uint8) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	if reason := r.Reason; reason != "" && message.Printable(reason) {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, http.StatusText(r.Status)...)
	}
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, &r.Header, false)
	dst = appendResponseLength(dst, r, clientMinor)
	if r.Upgrade != "" {
		dst = appendField(dst, &message.Field{Name: "Upgrade", Value: r.Upgrade})
	}
	closes := r.Close || r.BodyLength == message.LengthUnknown && clientMinor == 0
	if final := r.Status >= 200; final && clientMinor == 0 && !closes {
		dst = append(dst, "Connection: keep-alive\r\n"...)
	} else {
		dst = appendConnection(dst, closes && final, false, r.Upgrade != "")
	}
	return append(dst, '\r', '\n')
}

// appendResponseLength appends the framing of RFC 9112 section 6.3.
func appendResponseLength(dst []byte, r *message.Response, clientMinor uint8) []byte {
	switch {
	case r.BodyLength == 0 && r.DeclaredLength > 0 && (r.Status == 304 || !bodiless(r.Status)):
		return appendLength(dst, r.DeclaredLength)
	case bodiless(r.Status) || r.BodyLength == 0 && r.DeclaredLength == message.LengthUnknown:
		return dst
	case Chunked(r, clientMinor):
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.BodyLength == message.LengthUnknown:
		return dst
	}
	return appendLength(dst, r.BodyLength)
}

// bodiless reports whether no response with the status has a body.
func bodiless(status int) bool {
	return status < 200 || status == 204 || status == 304
}

// AppendChunk appends data as one chunk. Empty data appends nothing: an empty
// chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the end of a chunked body. trailer may be nil; what
// must not come in a trailer is left out.
func AppendLastChunk(dst []byte, trailer *message.Header) []byte {
	dst = append(dst, "0\r\n"...)
	if trailer != nil {
		for i := range trailer.Fields {
			if f := &trailer.Fields[i]; allowedTrailer(f.Name) {
				dst = appendField(dst, f)
			}
		}
	}
	return append(dst, '\r', '\n')
}

// appendFields appends end-to-end fields, with strict those without an underscore
// in their name.
func appendFields(dst []byte, h *message.Header, strict bool) []byte {
	for i := range h.Fields {
		f := &h.Fields[i]
		if message.KindOf(f.Name) == message.EndToEnd && !(strict && message.HasUnderscore(f.Name)) {
			dst = appendField(dst, f)
		}
	}
	return dst
}

func appendField(dst []byte, f *message.Field) []byte {
	if !message.IsToken(f.Name) || !message.Printable(f.Value) {
		return dst
	}
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, f.Value...)
	return append(dst, '\r', '\n')
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// appendConnection appends the field with the options that hold, if any does.
func appendConnection(dst []byte, closes, te, upgrade bool) []byte {
	before := "Connection: "
	for _, option := range [...]struct {
		holds bool
		name  string
	}{{closes, "close"}, {upgrade, "Upgrade"}, {te, "TE"}} {
		if option.holds {
			dst = append(append(dst, before...), option.name...)
			before = ", "
		}
	}
	if before == ", " {
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendVisible appends a part of a first line, with bytes that would end it
// percent-encoded.
func appendVisible(dst []byte, s string) []byte {
	if message.Printable(s) && strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '\t') < 0 {
		return append(dst, s...)
	}
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7F {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
