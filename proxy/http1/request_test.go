package http1_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// parsed is what a parser made of some bytes.
type parsed[M any] struct {
	N       int
	Status  int // of the error
	Message M
}

func parseRequest(p *http1.Parser, raw string) (got parsed[message.Request]) {
	n, err := p.Request([]byte(raw), &got.Message)
	return result(n, err, got.Message)
}

func parseResponse(p *http1.Parser, raw, method string) (got parsed[message.Response]) {
	n, err := p.Response([]byte(raw), &got.Message, method)
	return result(n, err, got.Message)
}

func result[M any](n int, err error, m M) parsed[M] {
	var bad *http1.Error
	if errors.As(err, &bad) {
		return parsed[M]{Status: bad.Status}
	}
	if n == 0 {
		return parsed[M]{}
	}
	return parsed[M]{N: n, Message: m}
}

// dribble parses raw in one piece, in two at every place, and byte by byte, and
// fails where the results are not one.
func dribble[M any](t *testing.T, raw string, parse func(p *http1.Parser, raw string) parsed[M]) parsed[M] {
	t.Helper()
	whole := parse(&http1.Parser{Limits: http1.DefaultLimits}, raw)
	ends := make([]int, len(raw)+1)
	for i := range ends {
		ends[i] = i
	}
	cuts := [][]int{ends}
	step := max(1, len(raw)/500)
	for i := 0; i < len(raw); i += step {
		cuts = append(cuts, []int{i, len(raw)})
	}
	if len(raw) > 20_000 {
		cuts = cuts[1:]
	}
	for _, cut := range cuts {
		p := http1.Parser{Limits: http1.DefaultLimits}
		var got parsed[M]
		for _, end := range cut {
			if got = parse(&p, raw[:end]); got.N > 0 || got.Status > 0 {
				break
			}
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Fatalf("%.200q in pieces that end at %v: (-whole +pieces)\n%s", raw, cut[:min(2, len(cut))], diff)
		}
	}
	return whole
}

// get is a request with further lines.
func get(lines ...string) string {
	return head(append([]string{"GET / HTTP/1.1", "Host: a"}, lines...)...)
}

// post is a request with further lines.
func post(lines ...string) string {
	return head(append([]string{"POST / HTTP/1.1", "Host: a"}, lines...)...)
}

func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// requestCase is a request that is accepted, if status is 0, or refused.
type requestCase struct {
	name   string
	raw    string
	status int
	check  func(r *message.Request) bool
}

func testRequests(t *testing.T, cases []requestCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := dribble(t, c.raw, parseRequest)
			if got.Status != c.status || (got.N > 0) != (c.status == 0) {
				t.Fatalf("%.300q: %d bytes taken, status %d; want status %d", c.raw, got.N, got.Status, c.status)
			}
			if c.check != nil && !c.check(&got.Message) {
				t.Errorf("%.300q was read as %+v", c.raw, got.Message)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	raw := head("GET /shop/cart?item=1&x=%zz[] HTTP/1.1", "Host: Shop.Example:8080", "User-Agent:curl/8",
		"ACCEPT: \t text/html, */* \t", "X-Empty:", "accept: text/plain", "X-Text: caf\xc3\xa9") + "GET /next"
	got := dribble(t, raw, parseRequest)
	want := parsed[message.Request]{N: strings.Index(raw, "GET /next"), Message: message.Request{
		Method: "GET", Authority: "shop.example:8080", Spelling: "Shop.Example:8080", Path: "/shop/cart", Query: "item=1&x=%zz[]", HasQuery: true, Major: 1, Minor: 1,
		Header: message.Header{Fields: []message.Field{{Name: "User-Agent", Value: "curl/8"}, {Name: "ACCEPT", Value: "text/html, */*"},
			{Name: "X-Empty"}, {Name: "accept", Value: "text/plain"}, {Name: "X-Text", Value: "caf\xc3\xa9"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRFC9112_2_2_Lines(t *testing.T) {
	testRequests(t, []requestCase{
		{"one empty line before", "\r\n" + get(), 0, nil},
		{"two empty lines before", "\r\n\r\n" + get(), 400, nil},
		{"bare LF before", "\n" + get(), 400, nil},
		{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, nil},
		{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, nil},
		{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, nil},
		{"only LF, not complete", "GET / HTTP/1.1\nHost: a", 400, nil},
		{"bare CR in a field", get("X: a\rb"), 400, nil},
		{"bare CR before CRLF", get("X: a\r"), 400, nil},
		{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, nil},
		{"bare CR before the request", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, nil},
		{"white space behind the request line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, nil},
		{"space before the request line", " " + get(), 400, nil},
		{"TLS on a clear port", "\x16\x03\x01\x02\x00\x01\x00", 400, nil},
	})
}

func TestRFC9112_2_3_Version(t *testing.T) {
	with := func(version string) string { return head("GET / "+version, "Host: a") }
	minor := func(n uint8) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.Major == 1 && r.Minor == n }
	}
	testRequests(t, []requestCase{
		{"1.1", with("HTTP/1.1"), 0, minor(1)},
		{"1.0", with("HTTP/1.0"), 0, minor(0)},
		{"1.9 is read as 1.1", with("HTTP/1.9"), 0, minor(1)},
		{"2.0", with("HTTP/2.0"), 505, nil},
		{"0.9", with("HTTP/0.9"), 505, nil},
		{"lower case", with("http/1.1"), 400, nil},
		{"no minor", with("HTTP/1"), 400, nil},
		{"two digits", with("HTTP/1.10"), 400, nil},
		{"no digits", with("HTTP/a.b"), 400, nil},
		{"space behind", with("HTTP/1.1 "), 400, nil},
		{"none", "GET /\r\n\r\n", 400, nil},
	})
}

func TestRFC9112_3_RequestLine(t *testing.T) {
	line := func(l string) string { return head(l, "Host: a") }
	testRequests(t, []requestCase{
		{"two spaces before the target", line("GET  / HTTP/1.1"), 400, nil},
		{"two spaces behind the target", line("GET /  HTTP/1.1"), 400, nil},
		{"tab", line("GET\t/\tHTTP/1.1"), 400, nil},
		{"tab behind the method", line("GET\t/ HTTP/1.1"), 400, nil},
		{"no target", line("GET HTTP/1.1"), 400, nil},
		{"empty target", line("GET  HTTP/1.1"), 400, nil},
		{"method that is no token", line("G(T / HTTP/1.1"), 400, nil},
		{"NUL in the method", line("GE\x00T / HTTP/1.1"), 400, nil},
		{"unknown method", line("M-SEARCH / HTTP/1.1"), 0, func(r *message.Request) bool { return r.Method == "M-SEARCH" }},
		{"methods have case", line("get / HTTP/1.1"), 0, func(r *message.Request) bool { return r.Method == "get" }},
		{"CONNECT", head("CONNECT a:443 HTTP/1.1", "Host: a:443"), 501, nil},
	})
}

func TestRFC9112_3_2_Host(t *testing.T) {
	host := func(lines ...string) string { return head(append([]string{"GET / HTTP/1.1"}, lines...)...) }
	testRequests(t, []requestCase{
		{"name and port", host("HOST: A.Example:8080"), 0, func(r *message.Request) bool {
			return r.Authority == "a.example:8080" && len(r.Header.Fields) == 0
		}},
		{"IPv6", host("Host: [::1]:80"), 0, func(r *message.Request) bool { return r.Authority == "[::1]:80" }},
		{"missing", host("Accept: a"), 400, nil},
		{"missing in HTTP/1.0", head("GET / HTTP/1.0"), 0, func(r *message.Request) bool { return r.Authority == "" }},
		{"empty", host("Host:"), 400, nil},
		{"empty in HTTP/1.0", head("GET / HTTP/1.0", "Host:"), 400, nil},
		{"two", host("Host: a", "Host: b"), 400, nil},
		{"two that are equal", host("Host: a", "host: a"), 400, nil},
		{"two in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "Host: a"), 400, nil},
		{"list", host("Host: a, b"), 400, nil},
		{"user information", host("Host: user@a"), 400, nil},
		{"path", host("Host: a/b"), 400, nil},
		{"port that is none", host("Host: a:99999"), 400, nil},
	})
}

func TestRFC9112_3_2_Target(t *testing.T) {
	target := func(method, target string) string { return head(method+" "+target+" HTTP/1.1", "Host: a") }
	path := func(path, query string, hasQuery bool) func(r *message.Request) bool {
		return func(r *message.Request) bool {
			return r.Path == path && r.Query == query && r.HasQuery == hasQuery && r.Authority == "a" && r.Scheme == ""
		}
	}
	testRequests(t, []requestCase{
		{"3.2.1 origin form", target("GET", "/a/b?c"), 0, path("/a/b", "c", true)},
		{"3.2.1 empty query", target("GET", "/a?"), 0, path("/a", "", true)},
		{"3.2.1 query with question mark", target("GET", "/a?b?c"), 0, path("/a", "b?c", true)},
		{"3.2.1 path is normalised", target("GET", "/a/%2e%2e/%7euser"), 0, path("/~user", "", false)},
		{"3.2.1 query is not", target("GET", "/?a=../%7e"), 0, path("/", "a=../%7e", true)},
		{"3.2.1 no slash", target("GET", "a/b"), 400, nil},
		{"3.2.1 fragment", target("GET", "/a#b"), 400, nil},
		{"3.2.1 fragment behind the query", target("GET", "/a?b#c"), 400, nil},
		{"3.2.1 control byte in the query", target("GET", "/a?b\x01"), 400, nil},
		{"3.2.1 no ASCII in the query", target("GET", "/a?\xe9"), 400, nil},
		{"3.2.1 backslash", target("GET", `/a\b`), 400, nil},
		{"3.2.2 absolute form", target("GET", "http://a/b?c"), 0, path("/b", "c", true)},
		{"3.2.2 other case", target("GET", "HTTP://A/b"), 0, path("/b", "", false)},
		{"3.2.2 https", target("GET", "https://a/b"), 0, path("/b", "", false)},
		{"3.2.2 no path", target("GET", "http://a"), 0, path("/", "", false)},
		{"3.2.2 query without path", target("GET", "http://a?b"), 0, path("/", "b", true)},
		{"3.2.2 bad query without path", target("GET", "http://a?b#c"), 400, nil},
		{"3.2.2 other host", target("GET", "http://b/"), 400, nil},
		{"3.2.2 other port", target("GET", "http://a:80/"), 400, nil},
		{"3.2.2 without Host", head("GET http://a/ HTTP/1.1"), 400, nil},
		{"3.2.2 without Host in HTTP/1.0", head("GET http://a/ HTTP/1.0"), 0, path("/", "", false)},
		{"3.2.2 no authority", target("GET", "http:///b"), 400, nil},
		{"3.2.2 user information", target("GET", "http://user@a/"), 400, nil},
		{"3.2.2 other scheme", target("GET", "ftp://a/"), 400, nil},
		{"3.2.2 no scheme", target("GET", "://a/"), 400, nil},
		{"3.2.3 authority form", target("GET", "a:80"), 400, nil},
		{"3.2.4 asterisk form", target("OPTIONS", "*"), 0, path("*", "", false)},
		{"3.2.4 asterisk form of GET", target("GET", "*"), 400, nil},
		{"3.2.4 asterisk and more", target("OPTIONS", "*/a"), 400, nil},
		{"3.2.4 absolute form without path", target("OPTIONS", "http://a"), 0, path("*", "", false)},
		{"3.2.4 absolute form with path", target("OPTIONS", "http://a/"), 0, path("/", "", false)},
	})
}

func TestRFC9112_5_Fields(t *testing.T) {
	value := func(want string) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.Header.Get("X") == want }
	}
	testRequests(t, []requestCase{
		{"5.1 white space around", get("X: \t a b\tc \t "), 0, value("a b\tc")},
		{"5.1 none around", get("X:a"), 0, value("a")},
		{"5.1 only white space", get("X: \t "), 0, value("")},
		{"5.1 colon in the value", get("X: a:b"), 0, value("a:b")},
		{"5.1 space before the colon", get("X : a"), 400, nil},
		{"5.1 tab before the colon", get("X\t: a"), 400, nil},
		{"5.1 no colon", get("X"), 400, nil},
		{"5.1 no name", get(": a"), 400, nil},
		{"5.1 name that is no token", get("X(Y): a"), 400, nil},
		{"5.1 no ASCII in the name", get("X\xe9: a"), 400, nil},
		{"5.1 NUL in the name", get("X\x00Y: a"), 400, nil},
		{"5.2 folded field", get("X: a", " b"), 400, nil},
		{"5.2 folded with a tab", get("X: a", "\tb"), 400, nil},
		{"5.2 line of white space", get("X: a", " "), 400, nil},
		{"RFC 9110 5.5 NUL", get("X: a\x00b"), 400, nil},
		{"RFC 9110 5.5 DEL", get("X: a\x7fb"), 400, nil},
		{"RFC 9110 5.5 ESC in a long value", get("X: " + strings.Repeat("a", 21) + "\x1b" + strings.Repeat("a", 9)), 400, nil},
		{"RFC 9110 5.5 obs-text", get("X: \x80\xff"), 0, value("\x80\xff")},
	})
}

func TestUnderscoresAreDropped(t *testing.T) {
	testRequests(t, []requestCase{
		{"any field", get("X_Forwarded_For: 1", "X-Y: 2"), 0, func(r *message.Request) bool {
			return len(r.Header.Fields) == 1 && r.Header.Get("X-Y") == "2"
		}},
		{"framing", post("Content_Length: 5"), 0, func(r *message.Request) bool {
			return len(r.Header.Fields) == 0 && r.BodyLength == 0
		}},
		{"bad value", get("X_Y: \x01"), 400, nil},
	})
}

func length(n int64) func(r *message.Request) bool {
	return func(r *message.Request) bool { return r.BodyLength == n && len(r.Header.Fields) == 0 }
}

func TestRFC9112_6_1_TransferEncoding(t *testing.T) {
	coding := func(value string) string { return post("Transfer-Encoding:" + value) }
	testRequests(t, []requestCase{
		{"chunked", coding(" chunked"), 0, length(message.LengthUnknown)},
		{"any case", post("TRANSFER-encoding: cHuNkEd"), 0, length(message.LengthUnknown)},
		{"white space around", coding("\tchunked \t"), 0, length(message.LengthUnknown)},
		{"with Content-Length", post("Transfer-Encoding: chunked", "Content-Length: 5"), 400, nil},
		{"with Content-Length before it", post("Content-Length: 5", "Transfer-Encoding: chunked"), 400, nil},
		{"with Content-Length 0", post("Content-Length: 0", "Transfer-Encoding: chunked"), 400, nil},
		{"twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, nil},
		{"second field", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400, nil},
		{"chunked twice", coding(" chunked, chunked"), 400, nil},
		{"chunked not last", coding(" chunked, gzip"), 400, nil},
		{"empty", coding(""), 400, nil},
		{"leading comma", coding(" , chunked"), 400, nil},
		{"trailing comma", coding(" chunked,"), 400, nil},
		{"parameter", coding(" chunked;a=b"), 400, nil},
		{"quoted", coding(` "chunked"`), 400, nil},
		{"Kelvin sign", coding(" chun\u212Aed"), 400, nil},
		{"unknown", coding(" xchunked"), 501, nil},
		{"gzip", coding(" gzip"), 501, nil},
		{"gzip before chunked", coding(" gzip, chunked"), 501, nil},
		{"identity", coding(" identity"), 501, nil},
		{"HTTP/1.0", head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400, nil},
	})
}

func TestRFC9112_6_2_ContentLength(t *testing.T) {
	cl := func(value string) string { return post("Content-Length:" + value) }
	cases := []requestCase{
		{"number", cl(" 42"), 0, length(42)},
		{"zero", cl(" 0"), 0, length(0)},
		{"absent", post(), 0, length(0)},
		{"white space around", cl(" \t7\t "), 0, length(7)},
		{"largest", cl(" 9223372036854775807"), 0, length(1<<63 - 1)},
		{"GET", get("Content-Length: 3"), 0, length(3)},
		{"twice", post("Content-Length: 5", "Content-Length: 6"), 400, nil},
		{"twice and equal", post("Content-Length: 5", "Content-Length: 5"), 400, nil},
	}
	for _, bad := range []string{"", " -1", " +1", " 0x5", " 1_0", " 05", " 00", " 1 2", " 5, 5", " 5;", " 1e3", " 5.0", " ٣",
		" 9223372036854775808", " 99999999999999999999999", " five"} {
		cases = append(cases, requestCase{fmt.Sprintf("%q", bad), cl(bad), 400, nil})
	}
	testRequests(t, cases)
}

func TestRFC9112_9_3_Persistence(t *testing.T) {
	closes := func(want bool) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.Close == want && len(r.Header.Fields) == 0 }
	}
	old := func(lines ...string) string { return head(append([]string{"GET / HTTP/1.0"}, lines...)...) }
	testRequests(t, []requestCase{
		{"1.1", get(), 0, closes(false)},
		{"1.1 close", get("Connection: CLOSE"), 0, closes(true)},
		{"1.1 close among others", get("Connection: x, ,close ,y"), 0, closes(true)},
		{"1.1 second field", get("Connection: x", "Connection: close"), 0, closes(true)},
		{"1.1 Proxy-Connection", get("Proxy-Connection: close"), 0, closes(false)},
		{"1.0", old(), 0, closes(true)},
		{"1.0 keep-alive", old("Connection: Keep-Alive", "Keep-Alive: timeout=5"), 0, closes(false)},
		{"1.0 both", old("Connection: keep-alive, close"), 0, closes(true)},
		{"the long s is no s", get("Connection: clo\u017fe"), 400, nil},
	})
}

func TestRFC9110_7_6_1_Connection(t *testing.T) {
	has := func(names ...string) func(r *message.Request) bool {
		return func(r *message.Request) bool {
			var got []string
			for _, f := range r.Header.Fields {
				got = append(got, f.Name)
			}
			return slices.Equal(got, names) && r.Authority == "a"
		}
	}
	testRequests(t, []requestCase{
		{"listed fields go", get("X-A: 1", "Connection: x-a, X-B", "X-B: 2", "X-C: 3", "x-a: 4"), 0, has("X-C")},
		{"the usual ones go", get("Keep-Alive: 1", "TE: trailers", "Proxy-Connection: a", "HTTP2-Settings: a", "Upgrade: a"), 0, has()},
		{"Host stays", get("Connection: Host"), 0, has()},
		{"essential fields stay", get("Authorization: a", "Cookie: a", "X-Forwarded-For: a", "Content-Type: a", "X-Real-IP: a",
			"Connection: authorization, cookie, x-forwarded-for, content-type, x-real-ip"), 0,
			has("Authorization", "Cookie", "X-Forwarded-For", "Content-Type", "X-Real-IP")},
		{"Content-Length stays", post("Connection: Content-Length", "Content-Length: 3"), 0, length(3)},
		{"Transfer-Encoding stays", post("Connection: Transfer-Encoding", "Transfer-Encoding: chunked"), 0, length(message.LengthUnknown)},
		{"no token", get("Connection: a b"), 400, nil},
		{"sixteen", get("Connection: a" + strings.Repeat(", a", 15)), 0, has()},
		{"seventeen", get("Connection: a" + strings.Repeat(", a", 16)), 400, nil},
	})
}

func TestRFC9110_7_8_Upgrade(t *testing.T) {
	upgrade := func(want string) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.Upgrade == want && len(r.Header.Fields) == 0 }
	}
	testRequests(t, []requestCase{
		{"websocket", get("Connection: keep-alive, Upgrade", "Upgrade: websocket"), 0, upgrade("websocket")},
		{"with version", get("Upgrade: foo/2", "Connection: upgrade"), 0, upgrade("foo/2")},
		{"not in Connection", get("Upgrade: websocket"), 0, upgrade("")},
		{"only in Connection", get("Connection: upgrade"), 0, upgrade("")},
		{"HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "Connection: upgrade", "Upgrade: websocket"), 0, upgrade("")},
		{"h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: H2C", "HTTP2-Settings: AAMAAABk"), 0, upgrade("")},
		{"h2c in a list", get("Connection: Upgrade", "Upgrade: websocket, h2c"), 0, upgrade("")},
		{"h2c in a second field", get("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"), 0, upgrade("")},
		{"with a body", post("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3"), 0, upgrade("")},
		{"no protocol", get("Connection: Upgrade", "Upgrade: a b"), 0, upgrade("")},
	})
}

func TestRFC9110_10_1_1_Expect(t *testing.T) {
	expects := func(want bool) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.ExpectContinue == want && len(r.Header.Fields) == 0 }
	}
	testRequests(t, []requestCase{
		{"with a length", post("Expect: 100-continue", "Content-Length: 3"), 0, expects(true)},
		{"with chunks", post("Transfer-Encoding: chunked", "expect: 100-Continue"), 0, expects(true)},
		{"without a body", get("Expect: 100-continue"), 0, expects(false)},
		{"HTTP/1.0", head("POST / HTTP/1.0", "Host: a", "Content-Length: 3", "Expect: 100-continue"), 0, expects(false)},
		{"HTTP/1.0, unknown", head("POST / HTTP/1.0", "Host: a", "Content-Length: 3", "Expect: x"), 0, expects(false)},
		{"unknown", post("Expect: 200-ok", "Content-Length: 3"), 417, nil},
		{"list", post("Expect: 100-continue, x", "Content-Length: 3"), 417, nil},
		{"empty", post("Expect:", "Content-Length: 3"), 417, nil},
	})
}

func TestRFC9110_10_1_4_TE(t *testing.T) {
	accepts := func(want bool) func(r *message.Request) bool {
		return func(r *message.Request) bool { return r.AcceptTrailers == want && len(r.Header.Fields) == 0 }
	}
	testRequests(t, []requestCase{
		{"trailers", get("Connection: TE", "TE: trailers"), 0, accepts(true)},
		{"among codings", get("Connection: TE", "TE: gzip;q=0.5, Trailers"), 0, accepts(true)},
		{"only codings", get("Connection: TE", "TE: gzip"), 0, accepts(false)},
	})
}

func TestLimits(t *testing.T) {
	l := http1.DefaultLimits
	line := func(n int) string { return "GET /" + strings.Repeat("a", n-len("GET / HTTP/1.1")) + " HTTP/1.1" }
	section := func(n int) string { return "X: " + strings.Repeat("a", n-len("Host: a\r\nX: \r\n\r\n")) }
	many := make([]string, l.HeaderFields)
	for i := range many {
		many[i] = "X: a"
	}
	testRequests(t, []requestCase{
		{"longest line", head(line(l.RequestLine), "Host: a"), 0, nil},
		{"line too long", head(line(l.RequestLine+1), "Host: a"), 414, nil},
		{"line without end", strings.Repeat("a", l.RequestLine+2), 414, nil},
		{"largest section", get(section(l.HeaderBytes)), 0, nil},
		{"section too large", get(section(l.HeaderBytes + 1)), 431, nil},
		{"section without end", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", l.HeaderBytes), 431, nil},
		{"most fields", get(many[1:]...), 0, nil},
		{"too many fields", get(many...), 431, nil},
		{"too many fields, not complete", "GET / HTTP/1.1\r\n" + strings.Repeat("X: a\r\n", l.HeaderFields+1), 431, nil},
	})
}

func TestParserGoesOnWithTheNextRequest(t *testing.T) {
	p := http1.Parser{Limits: http1.DefaultLimits}
	buf := []byte(get("X: 1") + "\r\n" + get("X: 2") + get("X: 3"))
	var r message.Request
	for _, want := range []string{"1", "2", "3"} {
		n, err := p.Request(buf, &r)
		if err != nil || r.Header.Get("X") != want || len(r.Header.Fields) != 1 {
			t.Fatalf("request %s was read as %+v, %v", want, r, err)
		}
		buf = buf[n:]
	}
	if len(buf) > 0 {
		t.Errorf("%q is left", buf)
	}
}

func TestIncompleteRequestNeedsMore(t *testing.T) {
	for _, raw := range []string{"", "\r", "\r\n", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"} {
		p := http1.Parser{Limits: http1.DefaultLimits}
		if n, err := p.Request([]byte(raw), new(message.Request)); n != 0 || err != nil {
			t.Errorf("%q: %d, %v", raw, n, err)
		}
	}
}

func TestErrorSaysStatusAndReason(t *testing.T) {
	p := http1.Parser{Limits: http1.DefaultLimits}
	_, err := p.Request([]byte(get("X : 1")), new(message.Request))
	if want := "400: white space stands before the colon of a field (RFC 9112 section 5.1)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Who does not speak HTTP is not answered in it.
func TestOtherProtocols(t *testing.T) {
	for _, raw := range []string{"GET / ICAP/1.1\r\n\r\n", "INVALID CONNECTION PREFACE\r\n\r\n"} {
		var p http1.Parser
		p.Limits = http1.DefaultLimits
		var r message.Request
		_, err := p.Request([]byte(raw), &r)
		if e, ok := errors.AsType[*http1.Error](err); !ok || e.Status != 0 {
			t.Errorf("%q: got %v", raw, err)
		}
	}
}
