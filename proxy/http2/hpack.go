package http2

import "golang.org/x/net/http2/hpack"

// The first bits of what a block is made of (RFC 7541 section 6).
const (
	indexed      = 0x80 // a field of a table
	withIndexing = 0x40 // a field that becomes one of the table
	sizeUpdate   = 0x20
	neverIndexed = 0x10 // a field that no table must hold, here or behind others
)

// representation is how a field is written that is in no table.
type representation uint8

const (
	indexing representation = iota // into the table
	plain                          // its value hardly comes again
	secret                         // its length must not tell whether it was guessed (RFC 7541 section 7.1)
)

// representations holds the names of fields that do not go into the table.
var representations = map[string]representation{
	"authorization": secret, "cookie": secret, "proxy-authorization": secret, "set-cookie": secret, "x-api-key": secret,

	"age": plain, "content-range": plain, "etag": plain, "expires": plain, "grpc-message": plain, "grpc-status-details-bin": plain,
	"if-match": plain, "if-modified-since": plain, "if-none-match": plain, "if-range": plain, "if-unmodified-since": plain,
	"last-modified": plain, "location": plain, "range": plain, "traceparent": plain, "x-b3-spanid": plain, "x-b3-traceid": plain,
	"x-request-id": plain,
}

// appendField appends a field with a valid name in lower case and a valid value.
func (e *Encoder) appendField(dst []byte, name, value string, how representation) []byte {
	index, exact := findStatic(name, value)
	if !exact && how == indexing || index == 0 {
		if i, found := e.table.find(name, value); found || index == 0 {
			index, exact = i, found
		}
	}
	switch {
	case exact:
		return appendInteger(dst, indexed, 7, index)
	case how == secret:
		dst = appendInteger(dst, neverIndexed, 4, index)
	case how == indexing && e.worthIndexing(name, value):
		dst = appendInteger(dst, withIndexing, 6, index)
		e.table.add(name, value)
	default:
		dst = appendInteger(dst, 0, 4, index)
	}
	if index == 0 {
		dst = appendString(dst, name)
	}
	return appendString(dst, value)
}

// worthIndexing reports whether a field leaves room in the table for others.
func (e *Encoder) worthIndexing(name, value string) bool {
	return len(name)+len(value)+entryOverhead <= e.table.max/2
}

// appendInteger appends n behind the first bits of a byte, of which it has the
// lower ones (RFC 7541 section 5.1).
func appendInteger(dst []byte, first byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// appendString appends a string in whichever of the two codings is shorter (RFC
// 7541 section 5.2).
func appendString(dst []byte, s string) []byte {
	const huffman = 0x80
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInteger(dst, huffman, 7, int(n)), s)
	}
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}
