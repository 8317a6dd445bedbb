package http1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// responseCase is a response to a request of the method, GET if empty, that is
// accepted if check is set, and otherwise refused.
type responseCase struct {
	name, raw string
	method    string
	check     func(r *message.Response) bool
}

func testResponses(t *testing.T, cases []responseCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := dribble(t, c.raw, func(p *http1.Parser, raw string) parsed[message.Response] {
				return parseResponse(p, raw, c.method)
			})
			if c.check == nil {
				if got.Status != 502 {
					t.Fatalf("%.300q: %+v, want an error of status 502", c.raw, got)
				}
				return
			}
			if got.N == 0 || !c.check(&got.Message) {
				t.Fatalf("%.300q was read as %+v", c.raw, got)
			}
		})
	}
}

// ok is a response of status 200 with the lines.
func ok(lines ...string) string { return head(append([]string{"HTTP/1.1 200 OK"}, lines...)...) }

func TestResponse(t *testing.T) {
	raw := ok("Content-Length: 5", "Set-Cookie: a=1", "Set-Cookie: b=2", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5",
		"X_Y: 1") + "hello"
	got := dribble(t, raw, func(p *http1.Parser, raw string) parsed[message.Response] { return parseResponse(p, raw, "GET") })
	want := parsed[message.Response]{N: len(raw) - len("hello"), Message: message.Response{
		Status: 200, Reason: "OK", Major: 1, Minor: 1, BodyLength: 5,
		Header: message.Header{Fields: []message.Field{{Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "X_Y", Value: "1"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRFC9112_4_StatusLine(t *testing.T) {
	line := func(l string) string { return head(l, "Content-Length: 0") }
	reads := func(status int, reason string, minor uint8) func(r *message.Response) bool {
		return func(r *message.Response) bool {
			return r.Status == status && r.Reason == reason && r.Major == 1 && r.Minor == minor
		}
	}
	testResponses(t, []responseCase{
		{"reason of words", line("HTTP/1.1 404 Not  Found"), "", reads(404, "Not  Found", 1)},
		{"no reason", line("HTTP/1.1 200 "), "", reads(200, "", 1)},
		{"no reason and no space", line("HTTP/1.1 200"), "", reads(200, "", 1)},
		{"reason without ASCII", line("HTTP/1.1 200 \xe9"), "", reads(200, "\xe9", 1)},
		{"HTTP/1.0", line("HTTP/1.0 200 OK"), "", reads(200, "OK", 0)},
		{"unknown status", line("HTTP/1.1 599 x"), "", reads(599, "x", 1)},
		{"longest", line("HTTP/1.1 200 " + strings.Repeat("a", http1.DefaultLimits.RequestLine-13)), "", func(r *message.Response) bool { return true }},
		{"too long", line("HTTP/1.1 200 " + strings.Repeat("a", http1.DefaultLimits.RequestLine-12)), "", nil},
		{"HTTP/2.0", line("HTTP/2.0 200 OK"), "", nil},
		{"other protocol", line("ICY 200 OK"), "", nil},
		{"two digits", line("HTTP/1.1 20 OK"), "", nil},
		{"four digits", line("HTTP/1.1 2000 OK"), "", nil},
		{"letters", line("HTTP/1.1 2x0 OK"), "", nil},
		{"below 100", line("HTTP/1.1 099 OK"), "", nil},
		{"above 599", line("HTTP/1.1 600 OK"), "", nil},
		{"two spaces", line("HTTP/1.1  200 OK"), "", nil},
		{"tab", line("HTTP/1.1\t200 OK"), "", nil},
		{"control byte in the reason", line("HTTP/1.1 200 a\x00"), "", nil},
		{"bare CR in the reason", line("HTTP/1.1 200 a\rb"), "", nil},
		{"empty line before", "\r\n" + ok(), "", nil},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "", nil},
	})
}

func TestRFC9112_5_ResponseFields(t *testing.T) {
	testResponses(t, []responseCase{
		{"folded", ok("X: a", " b"), "", nil},
		{"space before the colon", ok("X : a"), "", nil},
		{"no colon", ok("X"), "", nil},
		{"control byte", ok("X: a\x01"), "", nil},
		{"bare LF", "HTTP/1.1 200 OK\r\nX: a\n\r\n", "", nil},
		{"too many", ok(strings.Repeat("X: a\r\n", 100) + "X: a"), "", nil},
		{"too large", ok("X: " + strings.Repeat("a", 60<<10)), "", nil},
	})
}

func TestRFC9112_6_3_ResponseBody(t *testing.T) {
	body := func(length int64, untilClose bool) func(r *message.Response) bool {
		return func(r *message.Response) bool {
			return r.BodyLength == length && r.UntilClose == untilClose && r.Close == untilClose && len(r.Header.Fields) == 0
		}
	}
	none := func(declared int64) func(r *message.Response) bool {
		return func(r *message.Response) bool {
			return r.BodyLength == 0 && !r.UntilClose && !r.Close && r.DeclaredLength == declared
		}
	}
	const unknown = message.LengthUnknown
	status := func(line string, lines ...string) string {
		return head(append([]string{"HTTP/1.1 " + line}, lines...)...)
	}
	testResponses(t, []responseCase{
		{"length", ok("Content-Length: 5"), "", body(5, false)},
		{"length 0", ok("Content-Length: 0"), "", body(0, false)},
		{"chunked", ok("Transfer-Encoding: chunked"), "", body(unknown, false)},
		{"until close", ok(), "", body(unknown, true)},
		{"until close, HTTP/1.0", head("HTTP/1.0 200 OK"), "", body(unknown, true)},
		{"until close in spite of keep-alive", head("HTTP/1.0 200 OK", "Connection: keep-alive"), "", body(unknown, true)},
		{"HEAD with length", ok("Content-Length: 5"), "HEAD", none(5)},
		{"HEAD with chunked", ok("Transfer-Encoding: chunked"), "HEAD", none(unknown)},
		{"HEAD without", ok(), "HEAD", none(unknown)},
		{"304 with length", status("304 Not Modified", "Content-Length: 5"), "", none(5)},
		{"304 without", status("304 Not Modified"), "", none(unknown)},
		{"204", status("204 No Content"), "", none(unknown)},
		{"204 with length 0", status("204 No Content", "Content-Length: 0"), "", none(unknown)},
		{"100", status("100 Continue"), "", none(unknown)},
		{"103", status("103 Early Hints", "Link: a"), "", none(unknown)},

		{"204 with a body", status("204 No Content", "Content-Length: 5"), "", nil},
		{"204 chunked", status("204 No Content", "Transfer-Encoding: chunked"), "", nil},
		{"100 with a body", status("100 Continue", "Content-Length: 5"), "", nil},
		{"103 chunked", status("103 Early Hints", "Transfer-Encoding: chunked"), "", nil},
		{"two framings", ok("Content-Length: 5", "Transfer-Encoding: chunked"), "", nil},
		{"two framings for HEAD", ok("Transfer-Encoding: chunked", "Content-Length: 5"), "HEAD", nil},
		{"two lengths", ok("Content-Length: 5", "Content-Length: 6"), "", nil},
		{"two equal lengths", ok("Content-Length: 5", "Content-Length: 5"), "", nil},
		{"list of lengths", ok("Content-Length: 5, 5"), "", nil},
		{"length that is none", ok("Content-Length: -1"), "", nil},
		{"unknown coding", ok("Transfer-Encoding: gzip"), "", nil},
		{"gzip, chunked", ok("Transfer-Encoding: gzip, chunked"), "", nil},
		{"chunked in HTTP/1.0", head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"), "", nil},
	})
}

func TestRFC9112_9_3_ResponsePersistence(t *testing.T) {
	closes := func(want bool) func(r *message.Response) bool {
		return func(r *message.Response) bool { return r.Close == want && r.BodyLength == 5 }
	}
	testResponses(t, []responseCase{
		{"1.1", ok("Content-Length: 5"), "", closes(false)},
		{"1.1 close", ok("Content-Length: 5", "Connection: close"), "", closes(true)},
		{"1.0", head("HTTP/1.0 200 OK", "Content-Length: 5"), "", closes(true)},
		{"1.0 keep-alive", head("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: keep-alive"), "", closes(false)},
	})
}

func TestRFC9110_7_8_ResponseUpgrade(t *testing.T) {
	upgrade := func(want string) func(r *message.Response) bool {
		return func(r *message.Response) bool { return r.Upgrade == want && len(r.Header.Fields) == 0 }
	}
	testResponses(t, []responseCase{
		{"101", head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"), "", upgrade("websocket")},
		{"101 without protocol", head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade"), "", nil},
		{"101 without Connection", head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket"), "", nil},
		{"101 to h2c", head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: h2c"), "", nil},
		{"101 of HTTP/1.0", head("HTTP/1.0 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"), "", nil},
		{"101 with a body", head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3"), "", nil},
		{"426", head("HTTP/1.1 426 Upgrade Required", "Connection: Upgrade", "Upgrade: a/1, b", "Content-Length: 0"), "", upgrade("a/1, b")},
		{"200 that offers", ok("Connection: Upgrade", "Upgrade: a", "Upgrade: b", "Content-Length: 0"), "", upgrade("a, b")},
	})
}
