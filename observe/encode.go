package observe

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxValue bounds each string of a record, in bytes, so that a record is
// bounded whatever a client sends. What is longer ends in an ellipsis.
const maxValue = 4096

// appendJSON appends r as one line of JSON. Empty strings and zero counts that
// say nothing are left out.
func appendJSON(b []byte, r *Request) []byte {
	b = append(b, `{"time":"`...)
	b = r.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendMember(b, "method", r.Method)
	b = appendMember(b, "scheme", r.Scheme)
	b = appendMember(b, "host", r.Host)
	b = appendMember(b, "path", r.Path)
	b = appendMember(b, "protocol", r.Protocol)
	b = appendNumber(b, "status", int64(r.Status))
	if r.Call {
		b = appendNumber(b, "grpc_status", int64(r.GRPCStatus))
	}
	b = appendMember(b, "listener", r.Listener)
	if r.Route != "" {
		b = appendMember(b, "route", r.Route)
		b = appendNumber(b, "rule", int64(r.Rule))
		b = appendMember(b, "rule_name", r.RuleName)
	}
	b = appendMember(b, "backend", r.Backend)
	b = appendMember(b, "endpoint", r.Endpoint)
	if r.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = r.Client.AppendTo(b)
		b = append(b, '"')
	}
	b = appendMember(b, "request_id", r.RequestID)
	b = appendNumber(b, "request_bytes", r.RequestBytes)
	b = appendNumber(b, "response_bytes", r.ResponseBytes)
	b = appendMillis(append(b, `,"duration_ms":`...), r.Duration)
	if r.Attempts > 0 {
		b = appendMillis(append(b, `,"upstream_ms":`...), r.UpstreamDuration)
		b = appendNumber(b, "attempts", int64(r.Attempts))
	}
	b = appendMember(b, "failure", r.Failure)
	b = appendMember(b, "cause", r.Cause)
	if r.Upgrade {
		b = append(b, `,"upgrade":true`...)
	}
	return append(b, '}', '\n')
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':', '"')
	b = appendJSONValue(b, value)
	return append(b, '"')
}

func appendNumber(b []byte, name string, value int64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, value, 10)
}

// appendMillis appends d in milliseconds with microseconds behind the point.
func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// appendJSONValue appends the inside of a JSON string. All that does not print
// is escaped, not only what RFC 8259 asks for: people look at logs in
// terminals, and those obey C1 controls and direction marks too.
func appendJSONValue(b []byte, s string) []byte {
	s, cut := bounded(s)
	start := 0
	for i := 0; i < len(s); {
		if plain(s[i]) {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		r, size := utf8.DecodeRuneInString(s[i:])
		b = appendJSONRune(b, r)
		i += size
		start = i
	}
	b = append(b, s[start:]...)
	if cut {
		b = append(b, "…"...)
	}
	return b
}

// appendJSONRune appends one rune that is not plain. A byte that is no UTF-8
// has become U+FFFD.
func appendJSONRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case unicode.IsPrint(r):
		return utf8.AppendRune(b, r)
	case r > 0xFFFF:
		// RFC 8259 section 7: beyond the basic plane it takes a surrogate pair.
		r -= 0x10000
		b = appendEscape(b, 0xD800+r>>10)
		return appendEscape(b, 0xDC00+r&0x3FF)
	}
	return appendEscape(b, r)
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// plain reports whether the byte stands for itself in JSON and on a terminal.
func plain(c byte) bool {
	return c >= ' ' && c < 0x7F && c != '"' && c != '\\'
}

func bounded(s string) (string, bool) {
	if len(s) <= maxValue {
		return s, false
	}
	return s[:maxValue], true
}

// appendText appends r as a line for a terminal:
//
//	15:04:05.000 200 GET shop.example/cart 1.5ms httproute/default/shop[0] > service/default/web:80 10.0.0.1:8080
func appendText(b []byte, r *Request) []byte {
	b = r.Start.AppendFormat(b, "15:04:05.000")
	b = strconv.AppendInt(append(b, ' '), int64(r.Status), 10)
	b = appendWord(append(b, ' '), r.Method)
	b = appendWord(append(b, ' '), r.Host)
	b = appendWord(b, r.Path)
	b = appendMillis(append(b, ' '), r.Duration)
	b = append(b, "ms "...)
	if r.Route != "" {
		b = appendWord(b, r.Route)
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(r.Rule), 10)
		b = append(b, ']')
	} else {
		b = append(b, "no route"...)
	}
	if r.Backend != "" {
		b = appendWord(append(b, " > "...), r.Backend)
	}
	if r.Endpoint != "" {
		b = appendWord(append(b, ' '), r.Endpoint)
	}
	if r.Attempts > 1 {
		b = append(b, " attempts="...)
		b = strconv.AppendInt(b, int64(r.Attempts), 10)
	}
	if r.Call {
		b = append(b, " grpc="...)
		b = strconv.AppendInt(b, int64(r.GRPCStatus), 10)
	}
	if r.Upgrade {
		b = append(b, " upgrade"...)
	}
	if r.Failure != "" {
		b = appendWord(append(b, " failure="...), r.Failure)
	}
	if r.Cause != "" {
		b = appendWord(append(b, " cause="...), r.Cause)
	}
	return append(b, '\n')
}

// appendWord appends s, quoted as in Go where it holds anything but printable ASCII.
func appendWord(b []byte, s string) []byte {
	s, cut := bounded(s)
	for i := range len(s) {
		if s[i] == ' ' || !plain(s[i]) {
			b = strconv.AppendQuote(b, s)
			return appendEllipsis(b, cut)
		}
	}
	return appendEllipsis(append(b, s...), cut)
}

func appendEllipsis(b []byte, cut bool) []byte {
	if !cut {
		return b
	}
	return append(b, "…"...)
}
