package message

// FieldKind is what a field name means to the framing of a message or to its
// connection.
type FieldKind uint8

// Kinds of fields. Only those of EndToEnd are in a Header.
const (
	EndToEnd FieldKind = iota
	FieldConnection
	FieldContentLength
	FieldExpect
	FieldHost
	FieldTE
	FieldTransferEncoding
	FieldUpgrade
	FieldDropped // concerns one connection and says nothing of use
)

// KindOf classifies a field name, in whatever case.
func KindOf(name string) FieldKind {
	kind, known := EndToEnd, ""
	switch len(name) {
	case 2:
		kind, known = FieldTE, "TE"
	case 4:
		kind, known = FieldHost, "Host"
	case 6:
		kind, known = FieldExpect, "Expect"
	case 7:
		kind, known = FieldUpgrade, "Upgrade"
	case 10:
		if name[0]|0x20 == 'c' {
			kind, known = FieldConnection, "Connection"
		} else {
			kind, known = FieldDropped, "Keep-Alive"
		}
	case 14:
		if name[0]|0x20 == 'c' {
			kind, known = FieldContentLength, "Content-Length"
		} else {
			kind, known = FieldDropped, "HTTP2-Settings"
		}
	case 16:
		kind, known = FieldDropped, "Proxy-Connection"
	case 17:
		kind, known = FieldTransferEncoding, "Transfer-Encoding"
	}
	if kind != EndToEnd && EqualFold(name, known) {
		return kind
	}
	return EndToEnd
}

// Essential reports whether a field decides where a message goes, who sent it
// or what its content is. Connection cannot take such a field from a message,
// and it cannot come in a trailer (RFC 9110 sections 6.5.1 and 7.6.1).
func Essential(name string) bool {
	if KindOf(name) != EndToEnd {
		return true
	}
	for _, prefix := range []string{"Content-", "If-", "Proxy-", "Sec-", "X-Forwarded-"} {
		if len(name) >= len(prefix) && EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, field := range essentialFields {
		if EqualFold(name, field) {
			return true
		}
	}
	return false
}

var essentialFields = []string{
	"Age", "Authorization", "Cache-Control", "Cookie", "Date", "Expires", "Forwarded", "Location", "Max-Forwards",
	"Origin", "Pragma", "Range", "Retry-After", "Set-Cookie", "Trailer", "Vary", "Via", "WWW-Authenticate", "X-Real-IP",
}
