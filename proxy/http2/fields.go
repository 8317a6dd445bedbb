package http2

import "github.com/sluicegateway/sluice/proxy/message"

// Fields takes the fields of a head or a trailer one by one, for HTTP/3, which
// asks of them what HTTP/2 does (RFC 9114 section 4). Its errors are *Error of
// ThisStream.
type Fields struct {
	limits Limits
	list   fieldList
	failed *Error // the first error
}

// RequestFields takes the fields of a request into r.
func RequestFields(limits Limits, r *message.Request) *Fields {
	r.Reset()
	return newFields(limits, ofRequest, &r.Header)
}

// TrailerFields takes the fields of a request's trailer into h.
func TrailerFields(limits Limits, h *message.Header) *Fields {
	h.Reset()
	return newFields(limits, ofRequestTrailer, h)
}

func newFields(limits Limits, kind blockKind, h *message.Header) *Fields {
	return &Fields{limits: limits, list: fieldList{kind: kind, header: h, length: message.LengthUnknown}}
}

// Take takes a field. After an error no other one is wanted.
func (f *Fields) Take(name, value string) error {
	if f.failed == nil {
		f.failed = f.list.takeWithin(f.limits, name, value)
	}
	return f.err()
}

// MayEnd reports whether nothing in the fields announces a body: whether there is
// one, only what follows on the stream tells.
func (f *Fields) MayEnd() bool {
	l := &f.list
	return l.length == message.LengthUnknown && !l.protocol.set && !expectsBody(l.method.value)
}

// EndRequest puts together what only all fields tell. end says that neither a
// body nor trailers follow.
func (f *Fields) EndRequest(end bool, r *message.Request) error {
	if f.failed == nil {
		f.failed = f.list.finishRequest(end, r)
	}
	return f.err()
}

func (f *Fields) err() error {
	if f.failed == nil {
		return nil
	}
	return f.failed
}
