package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

var requestSeeds = []string{
	get("Accept: */*", "X-Empty:", "Connection: x, close", "X: 1"),
	post("Content-Length: 5") + "hello",
	post("Transfer-Encoding: chunked", "Expect: 100-continue", "TE: trailers", "Connection: TE") + "0\r\n\r\n",
	get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
	head("GET http://Shop.Example:8080/a/../b?c=%7e[] HTTP/1.1", "Host: shop.example:8080"),
	head("OPTIONS * HTTP/1.1", "Host: [::1]:80"),
	head("HEAD /%41%2f;p=1//x|y? HTTP/1.0", "Connection: keep-alive", "Host: a."),
	"\r\n" + head("DELETE /x HTTP/1.1", "Host: a", "X_Y: 1", "Content-Length: 0"),
	head("PATCH / HTTP/1.1", "Host: a", "Connection: close, upgrade", "Upgrade: foo/1"),
	post("Content-Length: 5", "Transfer-Encoding: chunked"),
	"GET / HTTP/1.1\nHost: a\n\n",
	get("X : a"), get("X: a", " b"),
}

var responseSeeds = []string{
	ok("Content-Length: 5", "Set-Cookie: a", "Set-Cookie: b") + "hello",
	ok("Transfer-Encoding: chunked"), ok(), ok("Content-Length: 0"),
	head("HTTP/1.0 200", "Content-Length: 5", "Connection: keep-alive"),
	head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"),
	head("HTTP/1.1 103 Early Hints", "Link: a"),
	head("HTTP/1.1 204 No Content"),
	head("HTTP/1.1 304 Not Modified", "Content-Length: 9", "ETag: a"),
	head("HTTP/1.1 304 Not Modified", "Content-Length: 0"),
	head("HTTP/1.1 426 Upgrade Required", "Connection: upgrade, close", "Upgrade: a, b", "Content-Length: 3"),
	ok("Content-Length: 5", "Content-Length: 5"),
}

// FuzzParseRequest compares with the parser of net/http where both accept, and
// with itself byte by byte.
func FuzzParseRequest(f *testing.F) {
	for _, raw := range requestSeeds {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 4096 {
			return
		}
		got := dribbleBytes(t, raw, parseRequest)
		source := strings.NewReader(raw)
		reader := bufio.NewReader(source)
		want, err := http.ReadRequest(reader)
		if got.N == 0 || err != nil {
			return
		}
		r := &got.Message
		if taken := len(raw) - source.Len() - reader.Buffered(); taken != got.N {
			t.Errorf("%q: took %d bytes, net/http %d", raw, got.N, taken)
		}
		if r.Method != want.Method || r.BodyLength != want.ContentLength || r.Close != want.Close {
			t.Errorf("%q: %+v, net/http %+v", raw, r, want)
		}
		if host, err := message.NormalizeAuthority(want.Host); r.Authority != host || (err != nil) != (r.Authority == "") {
			t.Errorf("%q: authority %q, net/http %q", raw, r.Authority, want.Host)
		}
		if path, query, hasQuery := strings.Cut(want.RequestURI, "?"); strings.HasPrefix(path, "/") {
			if path, err := message.NormalizePath(path); r.Path != path || err != nil || r.Query != query || r.HasQuery != hasQuery {
				t.Errorf("%q: %q and %q, net/http %q", raw, r.Path, r.Query, want.RequestURI)
			}
		}
	})
}

// FuzzParseResponse does so for responses.
func FuzzParseResponse(f *testing.F) {
	for _, raw := range responseSeeds {
		f.Add(raw, false)
		f.Add(raw, true)
	}
	f.Fuzz(func(t *testing.T, raw string, isHead bool) {
		if len(raw) > 4096 {
			return
		}
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		got := dribbleBytes(t, raw, func(p *http1.Parser, raw string) parsed[message.Response] { return parseResponse(p, raw, method) })
		source := strings.NewReader(raw)
		reader := bufio.NewReader(source)
		want, err := http.ReadResponse(reader, &http.Request{Method: method})
		if got.N == 0 || err != nil {
			return
		}
		r := &got.Message
		if taken := len(raw) - source.Len() - reader.Buffered(); taken != got.N {
			t.Errorf("%q: took %d bytes, net/http %d", raw, got.N, taken)
		}
		if r.Status != want.StatusCode {
			t.Errorf("%q: status %d, net/http %d", raw, r.Status, want.StatusCode)
		}
		length := r.BodyLength
		if isHead {
			length = r.DeclaredLength
		}
		if bodiless := r.Status < 200 || r.Status == 204 || r.Status == 304; !bodiless && length != want.ContentLength {
			t.Errorf("%q: length %d, net/http %d", raw, length, want.ContentLength)
		}
	})
}

// dribbleBytes parses raw in one piece and byte by byte.
func dribbleBytes[M any](t *testing.T, raw string, parse func(p *http1.Parser, raw string) parsed[M]) parsed[M] {
	whole := parse(&http1.Parser{Limits: http1.DefaultLimits}, raw)
	p := http1.Parser{Limits: http1.DefaultLimits}
	var got parsed[M]
	for end := 0; end <= len(raw) && got.N == 0 && got.Status == 0; end++ {
		got = parse(&p, raw[:end])
	}
	if !cmp.Equal(whole, got) {
		t.Fatalf("%q: %+v, byte by byte %+v", raw, whole, got)
	}
	return whole
}

// FuzzChunkDecoder compares with the reader of net/http where both accept, and
// with itself byte by byte.
func FuzzChunkDecoder(f *testing.F) {
	for _, raw := range []string{"5\r\nhello\r\n0\r\n\r\n", "1;a=\"b\\\"\" ; c\r\na\r\n0\r\nX: 1\r\n\r\nGET", "0\r\nX: 1\r\n 2\r\n\r\n", "7fffffffffffffff\r\n", "1\na\n0\n\n"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 4096 {
			return
		}
		var d, slow http1.ChunkDecoder
		data, left, err := decode(&d, raw)
		slowData, slowLeft, slowErr := decode(&slow, strings.Split(raw, "")...)
		if data != slowData || left != slowLeft || err != slowErr || d.Done() != slow.Done() || !cmp.Equal(d.Trailer(), slow.Trailer()) {
			t.Fatalf("%q: %q, %q, %v; byte by byte %q, %q, %v", raw, data, left, err, slowData, slowLeft, slowErr)
		}
		if err != nil || !d.Done() {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(raw)))
		if err == nil && data != string(want) {
			t.Errorf("%q: %q, net/http %q", raw, data, want)
		}
	})
}

// FuzzRoundTrip writes what was parsed and parses it again.
func FuzzRoundTrip(f *testing.F) {
	for _, raw := range append(requestSeeds[:len(requestSeeds):len(requestSeeds)], responseSeeds...) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		roundTripRequest(t, raw)
		roundTripResponse(t, raw, "GET")
		roundTripResponse(t, raw, "HEAD")
	})
}

// FuzzAppend writes what no parser has seen.
func FuzzAppend(f *testing.F) {
	for _, s := range evil {
		f.Add(s, s, s, s)
		f.Add("GET", "/a", "X", s)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		request := message.Request{Method: a, Authority: b, Path: c, Query: d, HasQuery: true, Header: header(a, b, c, d), Upgrade: a}
		out := http1.AppendRequest(nil, &request)
		checkHead(t, out, 6)
		if first, _, _ := bytes.Cut(out, []byte("\r\n")); bytes.Count(first, []byte(" ")) != 2 {
			t.Errorf("first line %q", first)
		}
		checkHead(t, http1.AppendResponse(nil, &message.Response{Status: 200, Reason: a, Header: header(b, c), Upgrade: d}, 1), 5)
	})
}
