package http1_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

func header(pairs ...string) (h message.Header) {
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestAppendRequest(t *testing.T) {
	const unknown = message.LengthUnknown
	for _, c := range []struct {
		name string
		r    message.Request
		want string
	}{
		{"GET", message.Request{Method: "GET", Authority: "a:81", Path: "/b", Query: "c", HasQuery: true, Header: header("X", "1", "Y", "")},
			head("GET /b?c HTTP/1.1", "Host: a:81", "X: 1", "Y: ")},
		{"empty query", message.Request{Method: "GET", Authority: "a", Path: "/", HasQuery: true}, head("GET /? HTTP/1.1", "Host: a")},
		{"OPTIONS", message.Request{Method: "OPTIONS", Authority: "a", Path: "*"}, head("OPTIONS * HTTP/1.1", "Host: a")},
		{"no authority", message.Request{Method: "GET", Path: "/"}, head("GET / HTTP/1.1", "Host: ")},
		{"POST without a body", message.Request{Method: "POST", Authority: "a", Path: "/"}, head("POST / HTTP/1.1", "Host: a", "Content-Length: 0")},
		{"PUT without a body", message.Request{Method: "PUT", Authority: "a", Path: "/"}, head("PUT / HTTP/1.1", "Host: a", "Content-Length: 0")},
		{"DELETE without a body", message.Request{Method: "DELETE", Authority: "a", Path: "/"}, head("DELETE / HTTP/1.1", "Host: a")},
		{"GET with a body", message.Request{Method: "GET", Authority: "a", Path: "/", BodyLength: 3}, head("GET / HTTP/1.1", "Host: a", "Content-Length: 3")},
		{"chunked", message.Request{Method: "POST", Authority: "a", Path: "/", BodyLength: unknown, ExpectContinue: true},
			head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Expect: 100-continue")},
		{"connection", message.Request{Method: "GET", Authority: "a", Path: "/", Close: true, AcceptTrailers: true},
			head("GET / HTTP/1.1", "Host: a", "TE: trailers", "Connection: close, TE")},
		{"upgrade", message.Request{Method: "GET", Authority: "a", Path: "/", Upgrade: "websocket"},
			head("GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade")},
		{"header cannot frame", message.Request{Method: "POST", Authority: "a", Path: "/", BodyLength: 3, Header: header("host", "b", "content-length", "9",
			"Transfer-Encoding", "chunked", "Connection", "close", "X", "1", "Upgrade", "x", "TE", "x", "Expect", "x")},
			head("POST / HTTP/1.1", "Host: a", "X: 1", "Content-Length: 3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(http1.AppendRequest([]byte("before "), &c.r)); got != "before "+c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAppendResponse(t *testing.T) {
	const unknown = message.LengthUnknown
	type response = message.Response
	for _, c := range []struct {
		name    string
		r       response
		minor   uint8
		want    string
		chunked bool
	}{
		{"length", response{Status: 200, Reason: "Fine", BodyLength: 5, Header: header("X", "1")}, 1,
			head("HTTP/1.1 200 Fine", "X: 1", "Content-Length: 5"), false},
		{"no reason", response{Status: 404}, 1, head("HTTP/1.1 404 Not Found", "Content-Length: 0"), false},
		{"unknown status", response{Status: 299}, 1, head("HTTP/1.1 299 ", "Content-Length: 0"), false},
		{"chunked", response{Status: 200, BodyLength: unknown, UntilClose: true}, 1, head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), true},
		{"close", response{Status: 200, BodyLength: 5, Close: true}, 1, head("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close"), false},
		{"HTTP/1.0 client", response{Status: 200, BodyLength: 5}, 0, head("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: keep-alive"), false},
		{"HTTP/1.0 client, close", response{Status: 200, BodyLength: 5, Close: true}, 0, head("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close"), false},
		{"HTTP/1.0 client, no length", response{Status: 200, BodyLength: unknown}, 0, head("HTTP/1.1 200 OK", "Connection: close"), false},
		{"HEAD", response{Status: 200, DeclaredLength: 5}, 1, head("HTTP/1.1 200 OK", "Content-Length: 5"), false},
		{"HEAD without length", response{Status: 200, DeclaredLength: unknown}, 1, head("HTTP/1.1 200 OK"), false},
		{"304", response{Status: 304}, 1, head("HTTP/1.1 304 Not Modified"), false},
		{"304 with length", response{Status: 304, DeclaredLength: 5}, 1, head("HTTP/1.1 304 Not Modified", "Content-Length: 5"), false},
		{"204", response{Status: 204, DeclaredLength: 5}, 1, head("HTTP/1.1 204 No Content"), false},
		{"100", response{Status: 100, Close: true}, 1, head("HTTP/1.1 100 Continue"), false},
		{"101", response{Status: 101, Upgrade: "websocket"}, 1, head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"), false},
		{"426", response{Status: 426, Upgrade: "a", Close: true}, 1,
			head("HTTP/1.1 426 Upgrade Required", "Content-Length: 0", "Upgrade: a", "Connection: close, Upgrade"), false},
		{"header cannot frame", response{Status: 200, BodyLength: 5, Header: header("Content-Length", "9", "transfer-encoding", "chunked", "Connection", "x", "X", "1")}, 1,
			head("HTTP/1.1 200 OK", "X: 1", "Content-Length: 5"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(http1.AppendResponse([]byte("before "), &c.r, c.minor)); got != "before "+c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := http1.Chunked(&c.r, c.minor); got != c.chunked {
				t.Errorf("Chunked = %v", got)
			}
		})
	}
}

func TestAppendChunks(t *testing.T) {
	trailer := header("X-Sum", "1", "Content-Length", "5", "Y", "2\r\nZ: 3")
	out := http1.AppendChunk(nil, []byte(strings.Repeat("a", 26)))
	out = http1.AppendChunk(out, nil)
	out = http1.AppendLastChunk(out, &trailer)
	if want := "1a\r\n" + strings.Repeat("a", 26) + "\r\n0\r\nX-Sum: 1\r\n\r\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if got := http1.AppendLastChunk(nil, nil); string(got) != "0\r\n\r\n" {
		t.Errorf("without trailer: %q", got)
	}
}

// checkHead fails where out is not exactly one head of at most lines lines.
func checkHead(t *testing.T, out []byte, lines int) {
	t.Helper()
	if end := bytes.Index(out, []byte("\r\n\r\n")); end != len(out)-4 {
		t.Errorf("%q: the head ends at %d", out, end)
	}
	clean := bytes.ReplaceAll(out, []byte("\r\n"), nil)
	if bytes.ContainsAny(clean, "\r\n\x00") {
		t.Errorf("%q holds a bare CR or LF or a NUL", out)
	}
	if got := bytes.Count(out, []byte("\r\n")) - 1; got > lines {
		t.Errorf("%q has %d lines, want at most %d", out, got, lines)
	}
}

var evil = []string{"a\r\nX: b", "a\nb", "a\rb", "a\x00b", "\r\n\r\nGET / HTTP/1.1", "a\x7f", "a b"}

func TestNothingInjectsALine(t *testing.T) {
	for _, s := range evil {
		for i, r := range []message.Request{
			{Method: s, Authority: "a", Path: "/"},
			{Method: "GET", Authority: s, Path: "/"},
			{Method: "GET", Authority: "a", Path: "/" + s},
			{Method: "GET", Authority: "a", Path: "/", HasQuery: true, Query: s},
			{Method: "GET", Authority: "a", Path: "/", Header: header("X", s)},
			{Method: "GET", Authority: "a", Path: "/", Header: header(s, "b")},
			{Method: "GET", Authority: "a", Path: "/", Upgrade: s},
		} {
			out := http1.AppendRequest(nil, &r)
			checkHead(t, out, 4)
			if first, _, _ := strings.Cut(string(out), "\r\n"); strings.Count(first, " ") != 2 {
				t.Errorf("request %d with %q: first line %q", i, s, first)
			}
		}
		for _, r := range []message.Response{
			{Status: 200, Reason: s}, {Status: 200, Header: header("X", s)}, {Status: 200, Header: header(s, "b")}, {Status: 101, Upgrade: s},
		} {
			checkHead(t, http1.AppendResponse(nil, &r, 1), 3)
		}
		trailer := header("X", s, s, "b")
		checkHead(t, http1.AppendLastChunk(nil, &trailer), 2)
	}
}

func TestFieldNamesThatAreNoTokensAreLeftOut(t *testing.T) {
	r := message.Request{Method: "GET", Authority: "a", Path: "/", Header: header("", "1", "a:b", "2", "a b", "3", "ok", "4")}
	if got, want := string(http1.AppendRequest(nil, &r)), head("GET / HTTP/1.1", "Host: a", "ok: 4"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// roundTripRequest parses raw and fails where what is written of it does not
// parse to the same.
func roundTripRequest(t *testing.T, raw string) {
	t.Helper()
	first := parseRequest(&http1.Parser{Limits: http1.DefaultLimits}, raw)
	if first.N == 0 || first.Message.Authority == "" {
		return // not valid, or of HTTP/1.0 and without what HTTP/1.1 needs
	}
	out := string(http1.AppendRequest(nil, &first.Message))
	// Writing may make a head longer than the limit: by an encoding in its path, by a default.
	second := parseRequest(&http1.Parser{Limits: http1.Limits{RequestLine: 1 << 20, HeaderBytes: 1 << 20, HeaderFields: 1000}}, out)
	first.Message.Minor = 1
	first.N = len(out)
	if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q was written as %q: (-first +second)\n%s", raw, out, diff)
	}
}

// roundTripResponse does so for a response to a client of HTTP/1.1.
func roundTripResponse(t *testing.T, raw, method string) {
	t.Helper()
	first := parseResponse(&http1.Parser{Limits: http1.DefaultLimits}, raw, method)
	if first.N == 0 {
		return
	}
	out := string(http1.AppendResponse(nil, &first.Message, 1))
	second := parseResponse(&http1.Parser{Limits: http1.Limits{RequestLine: 1 << 20, HeaderBytes: 1 << 20, HeaderFields: 1000}}, out, method)
	first.N = len(out)
	want := &first.Message
	want.Minor, want.UntilClose = 1, false
	if want.Reason == "" {
		want.Reason = second.Message.Reason
	}
	if want.Status < 200 {
		want.Close = false // an interim response says nothing of the connection
	}
	if want.Status == 304 && want.DeclaredLength == 0 {
		want.DeclaredLength = message.LengthUnknown // and a 304 no length of 0
	}
	if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q was written as %q: (-first +second)\n%s", raw, out, diff)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, raw := range requestSeeds {
		roundTripRequest(t, raw)
	}
	for _, raw := range responseSeeds {
		roundTripResponse(t, raw, "GET")
		roundTripResponse(t, raw, "HEAD")
	}
}

func TestChunksRoundTrip(t *testing.T) {
	trailer := header("X-Sum", "1")
	var out []byte
	for _, part := range []string{"hello", ", ", "world"} {
		out = http1.AppendChunk(out, []byte(part))
	}
	out = http1.AppendLastChunk(out, &trailer)
	var d http1.ChunkDecoder
	data, _, err := decode(&d, string(out))
	if data != "hello, world" || err != nil || !d.Done() || !slices.Equal(d.Trailer().Fields, trailer.Fields) {
		t.Errorf("%q was read as %q, %v, %v", out, data, d.Trailer(), err)
	}
}
