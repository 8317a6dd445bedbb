package http1

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Errors of field lines (RFC 9112 section 5).
var (
	errNoColon    = &Error{400, "a field line has no colon"}
	errFold       = &Error{400, "a field line starts with white space (RFC 9112 section 5.2)"}
	errSpaceColon = &Error{400, "white space stands before the colon of a field (RFC 9112 section 5.1)"}
	errFieldName  = &Error{400, "a field name is empty or holds a byte that names do not have (RFC 9110 section 5.1)"}
	errFieldValue = &Error{400, "a field value holds a control byte (RFC 9110 section 5.5)"}
)

// cutLine splits off the first line, without its CRLF.
func cutLine(head string) (line, rest string) {
	lf := strings.IndexByte(head, '\n')
	return head[:lf-1], head[lf+1:]
}

// splitField cuts and checks a field line.
func splitField(line string) (name, value string, err error) {
	colon := 0
	for colon < len(line) && tokenByte[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return "", "", fieldNameError(line, colon)
	}
	value = trimSpace(line[colon+1:])
	if !printable(value) {
		return "", "", errFieldValue
	}
	return line[:colon], value, nil
}

// fieldNameError says why the name of a field does not go on at bad.
func fieldNameError(line string, bad int) error {
	switch {
	case bad == len(line):
		return errNoColon
	case line[bad] != ' ' && line[bad] != '\t':
		return errFieldName
	case bad == 0:
		return errFold
	default:
		return errSpaceColon
	}
}

// trimSpace removes optional white space (RFC 9110 section 5.6.3).
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// printable reports whether s holds no control byte but HTAB (RFC 9110 section 5.5).
func printable(s string) bool {
	for len(s) >= 8 {
		// Eight bytes at once: the highest bit of a byte of below and del is
		// set where the byte is less than a space, or DEL. A borrow can set it
		// above such a byte only, so that whether any is set is exact.
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		below := (w - ' '*everyByte) & ^w
		del := w ^ 0x7F*everyByte
		del = (del - everyByte) & ^del
		if (below|del)&(0x80*everyByte) != 0 && !printableBytes(s[:8]) {
			return false
		}
		s = s[8:]
	}
	return printableBytes(s)
}

const everyByte = 0x0101010101010101

func printableBytes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenByte = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80 ||
			c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// fieldKind is what a field name means to the framing of a message or to its
// connection.
type fieldKind uint8

const (
	endToEnd fieldKind = iota
	fieldConnection
	fieldContentLength
	fieldExpect
	fieldHost
	fieldTE
	fieldTransferEncoding
	fieldUpgrade
	fieldDropped // concerns one connection and says nothing of use
)

// kindOf classifies a field name.
func kindOf(name string) fieldKind {
	kind, known := endToEnd, ""
	switch len(name) {
	case 2:
		kind, known = fieldTE, "TE"
	case 4:
		kind, known = fieldHost, "Host"
	case 6:
		kind, known = fieldExpect, "Expect"
	case 7:
		if name[0]|0x20 == 'u' {
			kind, known = fieldUpgrade, "Upgrade"
		} else {
			kind, known = fieldDropped, "Trailer"
		}
	case 10:
		if name[0]|0x20 == 'c' {
			kind, known = fieldConnection, "Connection"
		} else {
			kind, known = fieldDropped, "Keep-Alive"
		}
	case 14:
		if name[0]|0x20 == 'c' {
			kind, known = fieldContentLength, "Content-Length"
		} else {
			kind, known = fieldDropped, "HTTP2-Settings"
		}
	case 16:
		kind, known = fieldDropped, "Proxy-Connection"
	case 17:
		kind, known = fieldTransferEncoding, "Transfer-Encoding"
	}
	if kind != endToEnd && message.EqualFold(name, known) {
		return kind
	}
	return endToEnd
}

// essential reports whether a field decides where a message goes, who sent it
// or what its content is. Connection cannot take such a field from a message,
// and it cannot come in a trailer (RFC 9110 sections 6.5.1 and 7.6.1).
func essential(name string) bool {
	if kindOf(name) != endToEnd {
		return true
	}
	for _, prefix := range []string{"Content-", "If-", "Proxy-", "Sec-", "X-Forwarded-"} {
		if len(name) >= len(prefix) && message.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, field := range essentialFields {
		if message.EqualFold(name, field) {
			return true
		}
	}
	return false
}

var essentialFields = []string{
	"Age", "Authorization", "Cache-Control", "Cookie", "Date", "Expires", "Forwarded", "Location", "Max-Forwards",
	"Origin", "Pragma", "Range", "Retry-After", "Set-Cookie", "Vary", "Via", "WWW-Authenticate", "X-Real-IP",
}
