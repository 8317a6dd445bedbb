package message

import (
	"strconv"
	"strings"
)

// Printable reports whether s holds no control byte but HTAB (RFC 9110 section 5.5).
func Printable(s string) bool {
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

// IsToken reports whether s is a token (RFC 9110 section 5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// HasUnderscore reports whether a field name has one: many servers cannot tell it
// from the same name with a hyphen.
func HasUnderscore(name string) bool { return strings.IndexByte(name, '_') >= 0 }

// TokenByte reports whether tokens may hold c.
func TokenByte(c byte) bool { return tokenByte[c] }

var tokenByte = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80 ||
			c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// TrimSpace removes optional white space (RFC 9110 section 5.6.3).
func TrimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// ParseLength reads the value of a Content-Length: one decimal number without a
// sign or leading zeros (RFC 9110 section 8.6).
func ParseLength(value string) (n int64, ok bool) {
	if value == "" || value[0] < '0' || value[0] > '9' || value[0] == '0' && len(value) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}

// ValidQuery reports whether a query holds visible ASCII bytes only, and no "#".
// That is more than RFC 3986 allows, as browsers send "[", "|" and the like in the
// clear.
func ValidQuery(query string) bool {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7F || c == '#' {
			return false
		}
	}
	return true
}
