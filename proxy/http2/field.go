package http2

import (
	"github.com/sluicegateway/sluice/proxy/message"
)

// malformed is a message that RFC 9113 section 8.1.1 calls so.
func malformed(reason string) *Error {
	return &Error{Code: ProtocolError, Stream: ThisStream, Reason: reason}
}

// refused is a message that HTTP/2 carries but nobody here serves.
func refused(status int, reason string) *Error {
	return &Error{Code: ProtocolError, Stream: ThisStream, Status: status, Reason: reason}
}

// Errors of fields.
var (
	errName            = malformed("a field name is empty, or holds a byte that is not of a token in lower case (RFC 9113 section 8.2.1)")
	errValue           = malformed("a field value holds a control byte, or starts or ends in white space (RFC 9113 section 8.2.1)")
	errConnectionField = malformed("a field concerns the connection, which fields of HTTP/2 never do (RFC 9113 section 8.2.2)")
	errTE              = malformed("TE is not trailers, or not in a request (RFC 9113 section 8.2.2)")
	errPseudoLate      = malformed("a pseudo-header field stands behind other fields (RFC 9113 section 8.3)")
	errPseudoTwice     = malformed("a pseudo-header field came twice (RFC 9113 section 8.3)")
	errPseudoUnknown   = malformed("a pseudo-header field is unknown, or not of this kind of message (RFC 9113 section 8.3)")
	errPseudoTrailer   = malformed("a trailer holds a pseudo-header field (RFC 9113 section 8.1)")
	errLength          = malformed("Content-Length is not one decimal number (RFC 9113 section 8.1.1)")
	errLengthTwice     = malformed("there is more than one Content-Length")
	errHostTwice       = malformed("there is more than one Host")
	errExpect          = refused(417, "Expect is not 100-continue (RFC 9110 section 10.1.1)")
)

// blockKind is what a block of fields is.
type blockKind uint8

const (
	skipped blockKind = iota
	ofRequest
	ofResponse
	ofRequestTrailer
	ofResponseTrailer
)

// pseudo is a pseudo-header field.
type pseudo struct {
	value string
	set   bool
}

// fieldList is what the fields of a block have said so far.
type fieldList struct {
	kind   blockKind
	header *message.Header
	err    *Error
	count  int // without pseudo-header fields
	bytes  int // as RFC 9113 section 6.5.2 counts

	method, scheme, authority, path, protocol, status pseudo

	host           pseudo
	length         int64 // message.LengthUnknown without Content-Length
	crumbs         int   // parts of Cookie
	underscores    bool  // a name has one
	expect         bool
	acceptTrailers bool
}

// takeWithin reads a field, of a message that is no larger than the limits.
func (l *fieldList) takeWithin(limits Limits, name, value string) *Error {
	err := l.take(name, value)
	if l.bytes > limits.Bytes || l.count > limits.Fields {
		return ErrTooLarge
	}
	return err
}

// weigh adds the size of a field (RFC 9113 section 6.5.2).
func (l *fieldList) weigh(name, value string) { l.bytes += len(name) + len(value) + 32 }

// take reads a field.
func (l *fieldList) take(name, value string) *Error {
	l.weigh(name, value)
	if name != "" && name[0] == ':' {
		return l.takePseudo(name, value)
	}
	l.count++
	if !validName(name) {
		return errName
	}
	if !validValue(value) {
		return errValue
	}
	switch message.KindOf(name) {
	case message.EndToEnd:
		l.add(name, value)
	case message.FieldTE:
		return l.takeTE(value)
	case message.FieldContentLength:
		return l.takeLength(value)
	case message.FieldHost:
		return l.takeHost(value)
	case message.FieldExpect:
		return l.takeExpect(value)
	default:
		return errConnectionField
	}
	return nil
}

// takePseudo keeps a value to be looked at when all are there.
func (l *fieldList) takePseudo(name, value string) *Error {
	switch {
	case l.kind == ofRequestTrailer || l.kind == ofResponseTrailer:
		return errPseudoTrailer
	case l.count > 0:
		return errPseudoLate
	}
	p := l.pseudo(name)
	switch {
	case p == nil:
		return errPseudoUnknown
	case p.set:
		return errPseudoTwice
	}
	*p = pseudo{value, true}
	return nil
}

func (l *fieldList) pseudo(name string) *pseudo {
	if l.kind == ofResponse {
		if name == ":status" {
			return &l.status
		}
		return nil
	}
	switch name {
	case ":method":
		return &l.method
	case ":scheme":
		return &l.scheme
	case ":authority":
		return &l.authority
	case ":path":
		return &l.path
	case ":protocol":
		return &l.protocol
	}
	return nil
}

// add keeps an end-to-end field, or drops one as package http1 does. Names with an
// underscore in a head are for finishRequest.
func (l *fieldList) add(name, value string) {
	switch l.kind {
	case ofRequest:
		l.underscores = l.underscores || message.HasUnderscore(name)
		if name == "cookie" {
			l.crumbs++
		}
	case ofRequestTrailer:
		if message.HasUnderscore(name) || message.Essential(name) {
			return
		}
	case ofResponseTrailer:
		if message.Essential(name) {
			return
		}
	}
	l.header.Add(name, value)
}

func (l *fieldList) takeTE(value string) *Error {
	if l.kind != ofRequest || !message.EqualFold(value, "trailers") {
		return errTE
	}
	l.acceptTrailers = true
	return nil
}

// takeLength ignores what a trailer says: it cannot frame.
func (l *fieldList) takeLength(value string) *Error {
	if l.kind != ofRequest && l.kind != ofResponse {
		return nil
	}
	if l.length != message.LengthUnknown {
		return errLengthTwice
	}
	n, ok := message.ParseLength(value)
	if !ok {
		return errLength
	}
	l.length = n
	return nil
}

// takeHost and takeExpect ignore what is of requests in anything else.
func (l *fieldList) takeHost(value string) *Error {
	if l.kind != ofRequest {
		return nil
	}
	if l.host.set {
		return errHostTwice
	}
	l.host = pseudo{value, true}
	return nil
}

func (l *fieldList) takeExpect(value string) *Error {
	if l.kind != ofRequest {
		return nil
	}
	if !message.EqualFold(value, "100-continue") {
		return errExpect
	}
	l.expect = true
	return nil
}

// validName reports whether a name is a token in lower case.
func validName(name string) bool {
	for i := range len(name) {
		if !lowerTokenByte[name[i]] {
			return false
		}
	}
	return name != ""
}

var lowerTokenByte = func() (t [256]bool) {
	for c := range t {
		t[c] = message.TokenByte(byte(c)) && (c < 'A' || 'Z' < c)
	}
	return t
}()

func validValue(value string) bool {
	return len(message.TrimSpace(value)) == len(value) && message.Printable(value)
}
