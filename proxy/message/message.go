// Package message holds the heads of requests and responses, whatever the
// version of HTTP that carried them.
//
// Strings of a message may point into the buffer that its head was parsed
// from: they are valid until Reset. Whoever keeps one longer clones it.
//
// A Header holds end-to-end fields only. What concerns one connection or the
// framing of one message (Host, Connection and what it names, Content-Length,
// Transfer-Encoding, TE, Expect, Upgrade) is read into the other
// fields of the struct by the parser and written from them by the serialiser.
package message

import "strings"

// LengthUnknown is the length of a body whose end its framing tells: chunks,
// or the end of the connection.
const LengthUnknown = -1

// Request is the head of a request.
type Request struct {
	Method string
	// Scheme is "http" or "https". The connection decides it, not what the
	// client wrote: a parser leaves it empty.
	Scheme string
	// Authority is the host and optional port that the client asked for
	// (RFC 9110 section 7.2), as NormalizeAuthority returns it. It is empty only
	// for an HTTP/1.0 request without Host.
	Authority string
	// Spelling is Authority as the client wrote it, which is how the backend gets
	// it: HTTPRoute, spec.hostnames, wants the Host field forwarded unmodified. It
	// is empty where anybody else has set Authority.
	Spelling string
	// Path is as NormalizePath returns it; "*" only for OPTIONS.
	Path string
	// Query is without the "?", byte for byte as it came; HasQuery tells "/a?" from "/a".
	Query    string
	HasQuery bool
	// Major and Minor are the version of the message: 1.0, 1.1.
	Major, Minor uint8
	Header       Header
	// BodyLength is the number of bytes of the body, 0 for none, or LengthUnknown.
	BodyLength int64
	// Close says that the connection that the message came on, or goes out on,
	// ends after this exchange. Whoever forwards a message sets it anew.
	Close bool
	// ExpectContinue says that the client waits for 100 (Continue) before it
	// sends the body.
	ExpectContinue bool
	// AcceptTrailers says that the client takes trailer fields (TE: trailers).
	AcceptTrailers bool
	// Upgrade is the protocol of an Upgrade field that Connection names, else
	// empty. It is never set together with a body.
	Upgrade string
	// Underscores says that the client's field names with an underscore are there,
	// which are usual in gRPC. In HTTP/1.1, where many backends cannot tell them
	// from the same names with a hyphen, none of these leaves.
	Underscores bool
}

// Host is Authority without its port; an IPv6 address keeps its brackets.
func (r *Request) Host() string {
	host, _ := splitAuthority(r.Authority)
	return host
}

// Port is the port in Authority, or 0 where it names none.
func (r *Request) Port() uint16 {
	_, port := splitAuthority(r.Authority)
	return port
}

// SetAuthority replaces what the client asked for.
func (r *Request) SetAuthority(a string) { r.Authority, r.Spelling = a, "" }

// Reset forgets the request and keeps the memory of its header.
func (r *Request) Reset() {
	r.Header.Reset()
	*r = Request{Header: r.Header}
}

// Clone returns a copy that shares no memory with r, for whoever needs the
// request longer than its buffer lives (mirrors, retries).
func (r *Request) Clone() *Request {
	size := len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Spelling) + len(r.Path) + len(r.Query) + len(r.Upgrade)
	for _, f := range r.Header.Fields {
		size += len(f.Name) + len(f.Value)
	}
	var all strings.Builder // never grows after this: its strings stay in one piece of memory
	all.Grow(size)
	keep := func(s string) string {
		start := all.Len()
		all.WriteString(s)
		return all.String()[start:]
	}

	c := *r
	c.Method, c.Scheme, c.Authority, c.Spelling = keep(r.Method), keep(r.Scheme), keep(r.Authority), keep(r.Spelling)
	c.Path, c.Query, c.Upgrade = keep(r.Path), keep(r.Query), keep(r.Upgrade)
	c.Header.Fields = make([]Field, len(r.Header.Fields))
	for i, f := range r.Header.Fields {
		c.Header.Fields[i] = Field{keep(f.Name), keep(f.Value)}
	}
	return &c
}

// Response is the head of a response.
type Response struct {
	Status int
	// Reason is the reason phrase of HTTP/1, often empty.
	Reason       string
	Major, Minor uint8
	Header       Header
	// BodyLength is the number of bytes that follow, 0 for none, or
	// LengthUnknown; UntilClose then tells a body that the end of the connection ends.
	BodyLength int64
	UntilClose bool
	// DeclaredLength is the Content-Length that a response without a body
	// states all the same: that of the body which GET would have got (answers
	// to HEAD, and 304). LengthUnknown states none. It counts only where
	// BodyLength is 0.
	DeclaredLength int64
	// Close says that the connection that the message came on, or goes out on,
	// ends after this exchange. Whoever forwards a message sets it anew.
	Close bool
	// Upgrade is the value of an Upgrade field that Connection names, else empty.
	Upgrade string
}

// Reset forgets the response and keeps the memory of its header.
func (r *Response) Reset() {
	r.Header.Reset()
	*r = Response{Header: r.Header}
}
