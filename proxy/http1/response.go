package http1

import (
	"github.com/sluicegateway/sluice/proxy/message"
)

// Errors of responses; Response turns their status, and that of all others, into 502.
var (
	errStatusLine = &Error{400, "the status line is not: HTTP/1.x, space, three digits, space, reason (RFC 9112 section 4)"}
	errStatus     = &Error{400, "the status code is not one of 100 to 599 (RFC 9110 section 15)"}
	errBodiless   = &Error{400, "a response that has no body, by its status, states one (RFC 9110 section 8.6)"}
	errSwitch     = &Error{400, "101 names no protocol (RFC 9110 section 15.2.2)"}
)

// Response parses the head that buf starts with into r, the response to a
// request with the method requestMethod, and returns its length. It returns 0
// without an error where the head is not complete: call it again with the same
// bytes and those that followed. Errors are *Error with the status 502.
//
// The strings of r are views of buf.
func (p *Parser) Response(buf []byte, r *message.Response, requestMethod string) (n int, err error) {
	n, err = p.scan(buf)
	if n == 0 && err == nil {
		return 0, nil
	}
	p.rewind()
	if err == nil {
		r.Reset()
		err = parseResponse(view(buf[:n]), r, requestMethod)
	}
	if err != nil {
		return 0, &Error{502, err.(*Error).Reason}
	}
	return n, nil
}

func parseResponse(head string, r *message.Response, requestMethod string) error {
	line, rest := cutLine(head)
	if err := parseStatusLine(line, r); err != nil {
		return err
	}
	c := control{length: message.LengthUnknown}
	for {
		if line, rest = cutLine(rest); line == "" {
			return finishResponse(&c, r, requestMethod)
		}
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		kind := message.KindOf(name)
		if kind == message.EndToEnd {
			r.Header.Add(name, value)
		} else if _, err := c.take(kind, value); err != nil {
			return err
		}
	}
}

// parseStatusLine takes a line without reason with or without its last space,
// as both are in use.
func parseStatusLine(line string, r *message.Response) error {
	const start, code, reason = len("HTTP/1.1 "), len("HTTP/1.1 200"), len("HTTP/1.1 200 ")
	if len(line) < code || line[start-1] != ' ' || len(line) > code && line[code] != ' ' {
		return errStatusLine
	}
	minor, ok, err := parseVersion(line[:start-1])
	if err != nil {
		return err
	}
	a, b, c := line[start], line[start+1], line[start+2]
	if !ok || !digit(a) || !digit(b) || !digit(c) || !message.Printable(line) {
		return errStatusLine
	}
	r.Status = int(a-'0')*100 + int(b-'0')*10 + int(c-'0')
	if r.Status < 100 || r.Status > 599 {
		return errStatus
	}
	r.Major, r.Minor = 1, minor
	if len(line) > reason {
		r.Reason = line[reason:]
	}
	return nil
}

// finishResponse puts together what only all fields tell. The length of the
// body follows RFC 9112 section 6.3.
func finishResponse(c *control, r *message.Response, requestMethod string) error {
	if err := c.checkFraming(r.Minor); err != nil {
		return err
	}
	r.Close = c.closes(r.Minor)
	if c.mayUpgrade {
		r.Upgrade = c.upgrade
	}
	if r.Status == 101 && (r.Minor == 0 || !offersUpgrade(r.Upgrade)) {
		return errSwitch
	}
	c.removeOptions(&r.Header)

	switch {
	case r.Status < 200 || r.Status == 204:
		if c.chunked || c.length > 0 {
			return errBodiless
		}
		r.DeclaredLength = message.LengthUnknown
	case r.Status == 304 || requestMethod == "HEAD":
		r.DeclaredLength = c.length
	case c.chunked:
		r.BodyLength = message.LengthUnknown
	case c.length != message.LengthUnknown:
		r.BodyLength = c.length
	default:
		r.BodyLength, r.UntilClose, r.Close = message.LengthUnknown, true, true
	}
	return nil
}
