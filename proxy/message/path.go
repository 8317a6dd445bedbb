package message

import (
	"bytes"
	"errors"
	"strings"
)

// Errors of NormalizePath.
var (
	errPathStart   = errors.New("the path does not start with '/'")
	errPathByte    = errors.New("the path holds a byte that no URI may hold, or a backslash")
	errPathEscape  = errors.New("the path holds '%' without two hexadecimal digits")
	errPathEncoded = errors.New("the path holds an encoded NUL, an encoded backslash or an overlong UTF-8 sequence")
	errPathDots    = errors.New("the path hides a dot segment behind ';' or an encoded slash")
)

// NormalizePath returns the one form of a path that is matched, filtered and
// forwarded (RFC 3986 section 6.2.2):
//
//   - dot segments are removed, never past the root;
//   - percent-encoded unreserved characters are decoded, other encodings get
//     upper-case digits, and what a path must not hold in the clear but clients
//     send all the same ("[", "|" and the like) is encoded;
//   - an encoded slash (%2F) stays encoded and separates nothing;
//   - "//" stays as it is.
//
// Refused is what servers are known to read in different ways: backslashes and
// NULs, clear or encoded; overlong UTF-8; dot segments with a parameter ("..;")
// or beside an encoded slash. It allocates nothing where raw is normal already.
func NormalizePath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", errPathStart
	}
	for i := range len(raw) {
		if c := raw[i]; pathClass[c] != pathPlain || c == '.' && raw[i-1] == '/' {
			return rewritePath(raw)
		}
	}
	return raw, nil
}

func rewritePath(raw string) (string, error) {
	var stack [512]byte
	b, err := appendEncoded(stack[:0], raw)
	if err != nil {
		return "", err
	}
	if b, err = removeDotSegments(b); err != nil {
		return "", err
	}
	if string(b) == raw {
		return raw, nil
	}
	return string(b), nil
}

// appendEncoded appends path with its percent-encoding normalised.
func appendEncoded(dst []byte, path string) ([]byte, error) {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case pathClass[c] == pathPlain:
			dst = append(dst, c)
		case pathClass[c] == pathEncode:
			dst = appendEscape(dst, c)
		case c != '%':
			return nil, errPathByte
		default:
			decoded, ok := unescape(path[i:])
			if !ok {
				return nil, errPathEscape
			}
			if decoded == 0 || decoded == '\\' || overlong(decoded, path[i+3:]) {
				return nil, errPathEncoded
			}
			if unreserved[decoded] {
				dst = append(dst, decoded)
			} else {
				dst = appendEscape(dst, decoded)
			}
			i += 2
		}
	}
	return dst, nil
}

// unescape decodes the three bytes that s starts with.
func unescape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := strings.IndexByte(hexDigits, upper(s[1])), strings.IndexByte(hexDigits, upper(s[2]))
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func appendEscape(dst []byte, c byte) []byte {
	return append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
}

const hexDigits = "0123456789ABCDEF"

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// overlong reports whether first, and the encoded byte that rest may start
// with, begin a UTF-8 sequence that is longer than its character needs
// (RFC 3629 section 3): a lax decoder makes "/" or "." of some.
func overlong(first byte, rest string) bool {
	second, ok := unescape(rest)
	if !ok || second < 0x80 || second > 0xBF {
		return false
	}
	return first == 0xC0 || first == 0xC1 || first == 0xE0 && second < 0xA0 || first == 0xF0 && second < 0x90
}

// removeDotSegments does so in place (RFC 3986 section 5.2.4).
func removeDotSegments(path []byte) ([]byte, error) {
	out := path[:0]
	for rest, more := path[1:], true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte("/"))
		switch {
		case string(segment) == "..":
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		case string(segment) == ".":
		case hidesDots(segment):
			return nil, errPathDots
		default:
			out = append(append(out, '/'), segment...)
			continue
		}
		if !more {
			out = append(out, '/')
		}
	}
	return out, nil
}

// hidesDots reports whether a server that decodes slashes, or drops
// parameters, would find a dot segment in segment.
func hidesDots(segment []byte) bool {
	for rest, more := segment, true; more; {
		var name []byte
		name, rest, more = bytes.Cut(rest, []byte("%2F"))
		name, _, _ = bytes.Cut(name, []byte(";"))
		name, _, _ = bytes.Cut(name, []byte("%3B"))
		if string(name) == "." || string(name) == ".." {
			return true
		}
	}
	return false
}

// Classes of the bytes of a path.
const (
	pathRefused = iota // and "%", which is looked at by itself
	pathPlain          // pchar of RFC 3986 section 3.3, and "/"
	pathEncode         // visible, not allowed in a path, and sent by browsers and tools
)

var (
	unreserved = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
	pathClass  = func() (t [256]uint8) {
		for c := range t {
			switch {
			case unreserved[c] || c != 0 && strings.IndexByte("!$&'()*+,;=:@/", byte(c)) >= 0:
				t[c] = pathPlain
			case strings.IndexByte("\"<>[]^`{|}", byte(c)) >= 0:
				t[c] = pathEncode
			}
		}
		return t
	}()
)

// bytesOf is a set of bytes.
func bytesOf(s string) (t [256]bool) {
	for _, c := range []byte(s) {
		t[c] = true
	}
	return t
}
