package http1

import (
	"bytes"
	"unsafe"
)

// Parser finds and parses the heads of the messages of one connection, one
// after the other. It remembers how far it looked for the end of a head, so
// that a peer which sends byte by byte costs no more than one which does not.
// It belongs to one connection; set Limits before its first use.
type Parser struct {
	Limits Limits

	next     int // where to look on
	line     int // start of the present line
	inFields bool
	section  int // start of the field section
	fields   int
}

// Errors of the scan.
var (
	errLine      = &Error{414, "the first line is longer than the limit"}
	errSection   = &Error{431, "the fields are larger than the limit"}
	errFields    = &Error{431, "there are more fields than the limit"}
	errBareLF    = &Error{400, "a line ends in LF without CR (RFC 9112 section 2.2)"}
	errEmptyLine = &Error{400, "more than one empty line stands before the request line (RFC 9112 section 2.2)"}
)

// scan returns the end of the head that buf starts with, or 0 if it is not
// there yet. It holds the limits, also against a head that never ends, and
// that every line ends in CRLF.
func (p *Parser) scan(buf []byte) (end int, err error) {
	for {
		i := bytes.IndexByte(buf[p.next:], '\n')
		if i < 0 {
			p.next = len(buf)
			return 0, p.checkLength(len(buf))
		}
		lf := p.next + i
		p.next = lf + 1
		if err := p.checkLength(lf); err != nil {
			return 0, err
		}
		if lf == p.line || buf[lf-1] != '\r' {
			return 0, errBareLF
		}
		empty := lf == p.line+1
		switch {
		case empty && p.inFields:
			return lf + 1, nil
		case empty && p.line > 0:
			return 0, errEmptyLine
		case empty: // left by a client after the body of its last request
		case !p.inFields:
			p.inFields, p.section = true, lf+1
		default:
			p.fields++
			if p.fields > p.Limits.HeaderFields {
				return 0, errFields
			}
		}
		p.line = lf + 1
	}
}

// checkLength holds the limits for the present line up to end, where its LF
// stands or is not there yet.
func (p *Parser) checkLength(end int) error {
	if p.inFields {
		if end-p.section >= p.Limits.HeaderBytes {
			return errSection
		}
	} else if end-p.line > p.Limits.RequestLine+len("\r") {
		return errLine
	}
	return nil
}

// rewind readies the parser for the next head.
func (p *Parser) rewind() { *p = Parser{Limits: p.Limits} }

// view makes a string of bytes without copying them. It is the reason why the
// strings of a message live only as long as its buffer stays as it is.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
