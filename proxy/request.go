package proxy

import (
	"errors"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/http2"
)

// readRequest reads and parses a head. It answers what is not a valid request,
// and then says what becomes of the connection.
func (x *exchange) readRequest() (fate, bool) {
	x.compact()
	for {
		if x.beginsHTTP2() {
			x.from.startStreams(x.in[x.r:x.w])
			return fateTaken, false
		}
		n, err := x.parseHead()
		if n > 0 {
			x.startRequest(n)
			return fateKeep, true
		}
		if err == nil {
			err = x.readHead()
		}
		bad, malformed := err.(*http1.Error)
		switch {
		case err == nil:
		case malformed && bad.Status == 0:
			return fateLinger, false
		case malformed:
			x.refuse(clientMalformed.as(bad.Status))
			return fateLinger, false
		case errors.Is(err, os.ErrDeadlineExceeded) && x.begun():
			x.refuse(clientTimeout)
			return fateLinger, false
		default:
			return fateClose, false
		}
	}
}

// begun reports whether a byte of the request is there.
func (x *exchange) begun() bool { return !x.log.Start.IsZero() }

// parseHead returns the length of the head, 0 if it is not there yet.
func (x *exchange) parseHead() (int, error) {
	if x.r == x.w {
		return 0, nil
	}
	if !x.begun() {
		x.log.Start = time.Now()
		x.from.conn.SetReadDeadline(x.Loop.Now().Add(x.from.limits.HeadTimeout))
	}
	if x.from.fresh && strings.HasPrefix(http2.Preface, text(x.in[x.r:x.w])) {
		return 0, nil // what else it may be, more bytes tell
	}
	x.from.fresh = false
	return x.parser.Request(x.in[x.r:x.w], &x.req)
}

// beginsHTTP2 reports whether the client speaks HTTP/2 without having asked
// (RFC 9113 section 3.3). In TLS it would have: there ALPN alone decides.
func (x *exchange) beginsHTTP2() bool {
	return x.from.fresh && strings.HasPrefix(text(x.in[x.r:x.w]), http2.Preface)
}

// text looks at bytes as a string, which is valid as long as they are.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (x *exchange) readHead() error {
	if x.w == len(x.in) {
		x.grow()
	}
	n, err := x.from.conn.Read(x.in[x.w:])
	x.w += n
	if n > 0 {
		return nil
	}
	return err
}

// compact moves unparsed bytes to the start of the buffer.
func (x *exchange) compact() {
	x.w = copy(x.in, x.in[x.r:x.w])
	x.r = 0
}

func (x *exchange) grow() {
	bigger := x.from.limits.largerHead(len(x.in))
	x.w = copy(bigger, x.in[x.r:x.w])
	x.in, x.r = bigger, 0
}

// startRequest prepares what follows a head of n bytes.
func (x *exchange) startRequest(n int) {
	x.r += n
	x.closing = x.req.Close || x.from.draining || x.memory() != MemoryPlenty
	x.reqBody.start(x.from.conn, x.req.BodyLength, false, x.in[x.r:x.w])
	x.r = x.w // the body owns what follows the head
	x.note()
}

// note keeps what the access log says of a request.
func (x *exchange) note() {
	x.req.Scheme = "http"
	if x.from.secure != nil {
		x.req.Scheme = "https"
	}
	x.log.Method, x.log.Scheme, x.log.Host, x.log.Path = x.req.Method, x.req.Scheme, x.req.Authority, x.req.Path
	x.log.Protocol = x.protocol().name
	x.log.Client = x.client.RemoteAddr()
}

// protocol is a version of HTTP: its name in logs, and in Via fields with
// Sluice's own (RFC 9110 section 7.6.3).
type protocol struct{ name, via string }

var (
	http10 = &protocol{"HTTP/1.0", "1.0 " + Name}
	http11 = &protocol{"HTTP/1.1", "1.1 " + Name}
	http20 = &protocol{"HTTP/2.0", "2 " + Name}
	http30 = &protocol{"HTTP/3.0", "3 " + Name}
)

// protocol is the one that the request came in.
func (x *exchange) protocol() *protocol {
	switch {
	case x.from.quic != nil:
		return http30
	case x.stream != nil:
		return http20
	case x.req.Minor == 0:
		return http10
	}
	return http11
}

// keepPipelined brings bytes of a following request, which the body's reader
// may hold, back into the head buffer.
func (x *exchange) keepPipelined() {
	rest := x.reqBody.raw
	if !x.reqBody.complete() || len(rest) == 0 {
		x.r, x.w = 0, 0
		return
	}
	if len(rest) > len(x.in) {
		x.in = make([]byte, largeBuffer)
	}
	x.w = copy(x.in, rest) // may overlap: copy moves
	x.r = 0
}

// refuse answers what is no request; the connection ends.
func (x *exchange) refuse(f failure) {
	x.closing = true
	x.log.Client, x.log.Protocol = x.from.conn.RemoteAddr(), "HTTP/1.1"
	x.req.Reset()
	x.req.Major, x.req.Minor = 1, 1
	x.reqBody.start(x.from.conn, 0, false, nil)
	x.fail(f)
	x.record()
}
