package route

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// verdict is the outcome of a test: a hit, or the condition that failed.
type verdict struct {
	failed part
	// index is the failed header's or query parameter's.
	index int
}

// part is a part of a match.
type part uint8

const (
	none part = iota
	partPath
	partCall
	partService
	partRPCMethod
	partMethod
	partHeader
	partQuery
)

var hit = verdict{}

// test holds a match against a request. Whoever calls it has found the match by
// its path or service, unless it is one that is scanned.
func (c *conditions) test(r *message.Request) verdict {
	if c.rpc != nil {
		if failed := c.rpc.test(r); failed != none {
			return verdict{failed: failed}
		}
	}
	if c.expression != nil && !c.expression.matches(r.Path) {
		return verdict{failed: partPath}
	}
	if c.match.Method != "" && c.match.Method != r.Method {
		return verdict{failed: partMethod}
	}
	for i := range c.headers {
		if !c.headers[i].matchesHeader(r) {
			return verdict{partHeader, i}
		}
	}
	for i := range c.query {
		if !c.query[i].matchesQuery(r.Query) {
			return verdict{partQuery, i}
		}
	}
	return hit
}

// matchesHeader tests the value of a field.
func (t *valueTest) matchesHeader(r *message.Request) bool {
	value, ok := field(r, t.Name)
	switch {
	case !ok:
		return false
	case t.expression != nil:
		return t.expression.matches(value)
	}
	return value == t.Value
}

// field returns the value of a field: that of Host is the authority, and those
// of repeated fields are joined (RFC 9110 section 5.3).
func field(r *message.Request, name string) (string, bool) {
	if name == "host" {
		return r.Authority, r.Authority != ""
	}
	return r.Header.Joined(name)
}

// matchesQuery tests the first parameter of the name.
func (t *valueTest) matchesQuery(query string) bool {
	value, ok := parameter(query, t.Name)
	switch {
	case !ok:
		return false
	case t.expression != nil:
		return t.expression.matches(decode(value))
	}
	return equalDecoded(value, t.Value)
}

// parameter returns the first value of the name in a query, still encoded. A
// parameter without "=" has the empty value.
func parameter(query, name string) (value string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		encoded, value, _ := strings.Cut(pair, "=")
		if equalDecoded(encoded, name) {
			return value, true
		}
	}
	return "", false
}

// equalDecoded is decode(encoded) == want without the decoding.
func equalDecoded(encoded, want string) bool {
	i := 0
	for j := 0; j < len(encoded); i++ {
		var c byte
		c, j = decodeByte(encoded, j)
		if i >= len(want) || want[i] != c {
			return false
		}
	}
	return i == len(want)
}

// decode decodes a name or value of a query as forms encode it (WHATWG URL,
// application/x-www-form-urlencoded): "+" is a space, and "%" without two
// hexadecimal digits is itself.
func decode(encoded string) string {
	if !strings.ContainsAny(encoded, "%+") {
		return encoded
	}
	decoded := make([]byte, 0, len(encoded))
	for i := 0; i < len(encoded); {
		var c byte
		c, i = decodeByte(encoded, i)
		decoded = append(decoded, c)
	}
	return string(decoded)
}

// decodeByte returns the character that begins at i and the place of the next.
func decodeByte(s string, i int) (c byte, next int) {
	switch {
	case s[i] == '+':
		return ' ', i + 1
	case s[i] == '%' && isHex(s, i+1) && isHex(s, i+2):
		return unhex(s[i+1])<<4 | unhex(s[i+2]), i + 3
	}
	return s[i], i + 1
}

func isHex(s string, i int) bool {
	return i < len(s) && ('0' <= s[i] && s[i] <= '9' || 'a' <= s[i]|0x20 && s[i]|0x20 <= 'f')
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
