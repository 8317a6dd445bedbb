package http2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

func TestRequest(t *testing.T) {
	const unknown = message.LengthUnknown
	get := message.Request{Method: "GET", Authority: "shop.example", Spelling: "shop.example", Path: "/", Major: 2}
	for _, c := range []struct {
		name  string
		block []byte
		open  bool // a body or trailers follow
		want  func(r *message.Request)
	}{
		{"GET", request("accept", "*/*", "x-empty", ""), false, func(r *message.Request) {
			r.Header = header("accept", "*/*", "x-empty", "")
		}},
		{"body", request(), true, func(r *message.Request) { r.BodyLength = unknown }},
		{"body with a length", request("content-length", "7", "expect", "100-Continue"), true, func(r *message.Request) {
			r.BodyLength, r.ExpectContinue = 7, true
		}},
		{"length 0 before the end", request("content-length", "0"), true, func(*message.Request) {}},
		{"length 0 and the end", request("content-length", "0", "expect", "100-continue"), false, func(*message.Request) {}},
		{"trailers wanted", request("te", "trailers", "trailer", "x"), false, func(r *message.Request) {
			r.AcceptTrailers, r.Header = true, header("trailer", "x")
		}},
		{"path and query", coded(":path", "/a/%7eb/../c?x=[1]&y", ":method", "GET", ":scheme", "https", ":authority", "Shop.Example:8443"), false, func(r *message.Request) {
			r.Path, r.Query, r.HasQuery, r.Authority, r.Spelling = "/a/c", "x=[1]&y", true, "shop.example:8443", "Shop.Example:8443"
		}},
		{"empty query", coded(":path", "/?", ":method", "GET", ":scheme", "http", ":authority", "shop.example"), false, func(r *message.Request) { r.HasQuery = true }},
		{"OPTIONS", coded(":path", "*", ":method", "OPTIONS", ":scheme", "http", ":authority", "shop.example"), false, func(r *message.Request) {
			r.Method, r.Path = "OPTIONS", "*"
		}},
		{"Host alone", coded(":path", "/", ":method", "GET", ":scheme", "http", "host", "shop.example"), false, func(*message.Request) {}},
		{"Host equal to :authority", request("host", "SHOP.example."), false, func(*message.Request) {}},
		{"underscore", request("x_forwarded_for", "a", "x", "1"), false, func(r *message.Request) { r.Header = header("x", "1") }},
		{"underscores of gRPC", request("x_y", "a", "content-type", "application/grpc+proto"), false, func(r *message.Request) {
			r.Header, r.Underscores = header("x_y", "a", "content-type", "application/grpc+proto"), true
		}},
		{"underscores of others", request("x_y", "a", "content-type", "application/grpc-web", "y_z", "b"), false, func(r *message.Request) {
			r.Header = header("content-type", "application/grpc-web")
		}},
		{"Cookie in parts", request("cookie", "a=1", "x", "1", "cookie", "", "cookie", "b=2; c=3"), false, func(r *message.Request) {
			r.Header = header("cookie", "a=1; b=2; c=3", "x", "1")
		}},
		{"WebSocket", extended("sec-websocket-version", "13", "sec-websocket-key", "x"), true, func(r *message.Request) {
			r.Path, r.Upgrade, r.Header = "/chat", "websocket", header("sec-websocket-version", "13")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := get
			c.want(&want)
			got := message.Request{Method: "LEFT", Header: header("left", "over"), ExpectContinue: true}
			if err := http2.NewDecoder(http2.DefaultLimits).Request(c.block, !c.open, &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Header.Fields) == 0 {
				got.Header.Fields = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// extended is the block of an extended CONNECT.
func extended(pairs ...string) []byte {
	return coded(append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "shop.example"}, pairs...)...)
}

func pseudo(method, scheme, path, authority string, more ...string) []byte {
	return coded(append([]string{":method", method, ":scheme", scheme, ":path", path, ":authority", authority}, more...)...)
}

// reset is what a malformed message leads to, rather than an answer.
const reset = 0

func TestRequestRefused(t *testing.T) {
	const a = "shop.example"
	for _, c := range []struct {
		name   string
		block  []byte
		status int
	}{
		{"RFC9113_8_2_1 upper case", request("X-Upper", "1"), reset},
		{"RFC9113_8_2_1 space in a name", request("a b", "1"), reset},
		{"RFC9113_8_2_1 colon in a name", request("a:b", "1"), reset},
		{"RFC9113_8_2_1 line end in a name", request("a\r\nb", "1"), reset},
		{"RFC9113_8_2_1 NUL in a name", request("a\x00", "1"), reset},
		{"RFC9113_8_2_1 no ASCII in a name", request("caf\u00e9", "1"), reset},
		{"RFC9113_8_2_1 empty name", request("", "1"), reset},
		{"RFC9113_8_2_1 CR in a value", request("a", "b\rc"), reset},
		{"RFC9113_8_2_1 LF in a value", request("a", "b\nc"), reset},
		{"RFC9113_8_2_1 another request in a value", request("a", "b\r\n\r\nGET /admin HTTP/1.1"), reset},
		{"RFC9113_8_2_1 NUL in a value", request("a", "b\x00"), reset},
		{"RFC9113_8_2_1 DEL in a value", request("a", "b\x7f"), reset},
		{"RFC9113_8_2_1 space before a value", request("a", " b"), reset},
		{"RFC9113_8_2_1 tab behind a value", request("a", "b\t"), reset},
		{"RFC9113_8_2_1 space for a value", request("a", " "), reset},
		{"RFC9113_8_2_1 line end in a Cookie", request("cookie", "a\r\nb: c"), reset},

		{"RFC9113_8_2_2 Connection", request("connection", "close"), reset},
		{"RFC9113_8_2_2 Keep-Alive", request("keep-alive", "timeout=5"), reset},
		{"RFC9113_8_2_2 Proxy-Connection", request("proxy-connection", "close"), reset},
		{"RFC9113_8_2_2 Transfer-Encoding", request("transfer-encoding", "chunked"), reset},
		{"RFC9113_8_2_2 Upgrade", request("upgrade", "h2c"), reset},
		{"RFC9113_3_1 HTTP2-Settings", request("http2-settings", "AAMAAABkAAQAAP__"), reset},
		{"RFC9113_8_2_2 TE", request("te", "trailers, deflate"), reset},
		{"RFC9113_8_2_2 TE twice, one wrong", request("te", "trailers", "te", "gzip"), reset},
		{"RFC9113_8_2_2 TE empty", request("te", ""), reset},

		{"RFC9113_8_3 late", request("x", "1", ":protocol", "websocket"), reset},
		{"RFC9113_8_3 behind Host", request("host", a, ":path", "/"), reset},
		{"RFC9113_8_3 twice", request(":path", "/"), reset},
		{"RFC9113_8_3 method twice", request(":method", "GET"), reset},
		{"RFC9113_8_3 unknown", request(":unknown", "1"), reset},
		{"RFC9113_8_3 only a colon", request(":", "1"), reset},
		{"RFC9113_8_3 of a response", request(":status", "200"), reset},

		{"RFC9113_8_3_1 nothing", nil, reset},
		{"RFC9113_8_3_1 no method", coded(":scheme", "http", ":path", "/", ":authority", a), reset},
		{"RFC9113_8_3_1 no scheme", coded(":method", "GET", ":path", "/", ":authority", a), reset},
		{"RFC9113_8_3_1 no path", coded(":method", "GET", ":scheme", "http", ":authority", a), reset},
		{"RFC9113_8_3_1 empty path", pseudo("GET", "http", "", a), reset},
		{"RFC9113_8_3_1 relative path", pseudo("GET", "http", "a", a), reset},
		{"RFC9113_8_3_1 absolute URI for a path", pseudo("GET", "http", "http://a/", a), reset},
		{"RFC9113_8_3_1 asterisk without OPTIONS", pseudo("GET", "http", "*", a), reset},
		{"RFC9113_8_3_1 empty method", pseudo("", "http", "/", a), reset},
		{"RFC9113_8_3_1 request line for a method", pseudo("GET /admin HTTP/1.1", "http", "/", a), reset},
		{"RFC9113_8_3_1 line end in the method", pseudo("GET\r\n", "http", "/", a), reset},
		{"RFC9113_8_3_1 Host differs", request("host", "other.example"), reset},
		{"RFC9113_8_3_1 Host differs by its port", request("host", "shop.example:80"), reset},
		{"RFC9113_8_3_1 Host is none", request("host", "a b"), reset},
		{"RFC9110_7_2 two Hosts", request("host", a, "host", a), reset},

		{"RFC9113_8_1_1 length not a number", request("content-length", "a"), reset},
		{"RFC9113_8_1_1 length with a sign", request("content-length", "+1"), reset},
		{"RFC9113_8_1_1 length with leading zeros", request("content-length", "01"), reset},
		{"RFC9113_8_1_1 length too large", request("content-length", "9223372036854775808"), reset},
		{"RFC9113_8_1_1 list of lengths", request("content-length", "1, 1"), reset},
		{"RFC9113_8_1_1 empty length", request("content-length", ""), reset},
		{"RFC9113_8_1_1 two lengths", request("content-length", "0", "content-length", "0"), reset},
		{"RFC9113_8_1_1 length without a body", request("content-length", "1"), reset},

		{"RFC9113_8_5 CONNECT", coded(":method", "CONNECT", ":authority", "a:443"), 501},
		{"RFC9113_8_5 CONNECT with a path", pseudo("CONNECT", "http", "/", a), reset},
		{"RFC9113_8_5 CONNECT without an authority", coded(":method", "CONNECT"), reset},
		{"RFC8441_4 protocol without CONNECT", pseudo("GET", "http", "/", a, ":protocol", "websocket"), reset},
		{"RFC8441_4 another protocol", pseudo("CONNECT", "https", "/", a, ":protocol", "connect-udp"), 501},
		{"RFC8441_4 without a path", coded(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", a), reset},
		{"RFC9110_9_3_6 extended CONNECT with a length", extended("content-length", "0"), reset},

		{"another scheme", pseudo("GET", "ftp", "/", a), 400},
		{"no authority", coded(":method", "GET", ":scheme", "http", ":path", "/"), 400},
		{"empty authority", pseudo("GET", "http", "/", ""), 400},
		{"user in the authority", pseudo("GET", "http", "/", "me@shop.example"), 400},
		{"line end in the authority", pseudo("GET", "http", "/", "a\r\nx: y"), 400},
		{"line end in the path", pseudo("GET", "http", "/ HTTP/1.1\r\nhost: b", a), 400},
		{"space in the path", pseudo("GET", "http", "/a b", a), 400},
		{"fragment", pseudo("GET", "http", "/a#b", a), 400},
		{"line end in the query", pseudo("GET", "http", "/?a\r\nx: y", a), 400},
		{"space in the query", pseudo("GET", "http", "/?a b", a), 400},
		{"dots that hide", pseudo("GET", "http", "/a/..;/b", a), 400},
		{"encoded NUL", pseudo("GET", "http", "/%00", a), 400},
		{"another expectation", request("expect", "200-ok"), 417},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := http2.NewDecoder(http2.DefaultLimits)
			e := asError(t, d.Request(c.block, true, &message.Request{}))
			if e.Code != http2.ProtocolError || e.Stream != http2.ThisStream || e.Status != c.status {
				t.Errorf("got %+v, want PROTOCOL_ERROR of the stream, status %d", e, c.status)
			}
			if err := d.Request(request(), true, &message.Request{}); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
	if err := http2.NewDecoder(http2.DefaultLimits).Request(pseudo("TRACE", "http", "/", a), false, &message.Request{}); asError(t, err).Status != 400 {
		t.Errorf("TRACE with a body: %v", err)
	}
}

func TestRFC7541_BlocksThatAreNoHPACK(t *testing.T) {
	for name, block := range map[string][]byte{
		"2.3.3 index 0":                 {0x80},
		"2.3.3 index behind the tables": {0xFF, 0x00},
		"6.1 name behind the tables":    {0x7F, 0x00, 0x01, 'a'},
		"5.2 cut string":                {0x40, 0x05, 'a'},
		"5.1 cut integer":               {0xFF, 0x80},
		"5.1 endless integer":           {0xFF, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
		"5.2 long padding":              {0x40, 0x01, 'a', 0x82, 0xFF, 0xFF},
		"5.2 padding of zeros":          {0x40, 0x01, 'a', 0x81, 0x18},
		"6.3 size above the settings":   {0x3F, 0xE2, 0x1F},
		"4.2 size behind a field":       append(request("x", "1"), 0x20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, decode := range []func(*http2.Decoder) error{
				func(d *http2.Decoder) error { return d.Request(block, true, &message.Request{}) },
				func(d *http2.Decoder) error { return d.Response(block, true, "GET", false, &message.Response{}) },
				func(d *http2.Decoder) error { return d.Trailer(block, &message.Header{}) },
			} {
				if e := asError(t, decode(http2.NewDecoder(http2.DefaultLimits))); e.Code != http2.CompressionError || e.Stream != 0 {
					t.Errorf("got %+v, want COMPRESSION_ERROR of the connection", e)
				}
			}
		})
	}
}

func TestLimitsHoldWhileDecoding(t *testing.T) {
	limits := http2.Limits{Bytes: 1000, Fields: 6}
	bomb := append(coded("x", strings.Repeat("a", 200)), []byte(strings.Repeat("\xBE", 4))...) // five times the same field
	for _, c := range []struct {
		name  string
		block []byte
		ok    bool
	}{
		{"fields at the limit", request("a", "", "b", "", "c", "", "d", "", "e", "", "f", ""), true},
		{"one field above", request("a", "", "b", "", "c", "", "d", "", "e", "", "f", "", "g", ""), false},
		{"parts of Cookie count", request("cookie", "a", "cookie", "b", "cookie", "c", "cookie", "d", "cookie", "e", "cookie", "f", "cookie", "g"), false},
		{"fields that are dropped count", request("a_", "", "b_", "", "c_", "", "d_", "", "e_", "", "f_", "", "g_", ""), false},
		{"large value", request("a", strings.Repeat("x", 1000)), false},
		{"large path", pseudo("GET", "http", "/"+strings.Repeat("x", 1000), "a"), false},
		{"references to a large field", append(request(), bomb...), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := http2.NewDecoder(limits)
			err := d.Request(c.block, true, &message.Request{})
			if c.ok && err != nil || !c.ok && err != http2.ErrTooLarge {
				t.Errorf("got %v", err)
			}
			if err := d.Trailer(coded("a", strings.Repeat("x", 1000)), &message.Header{}); err != http2.ErrTooLarge {
				t.Errorf("trailer: %v", err)
			}
		})
	}
	// RFC 9113 section 6.5.2 counts 32 bytes more for each of the five fields.
	sum := len(":methodGET:schemehttp:path/:authorityshop.examplea") + 5*32
	for value, ok := range map[string]bool{strings.Repeat("x", limits.Bytes-sum): true, strings.Repeat("x", limits.Bytes-sum+1): false} {
		if err := http2.NewDecoder(limits).Request(request("a", value), true, &message.Request{}); ok && err != nil || !ok && err != http2.ErrTooLarge {
			t.Errorf("a value of %d bytes: %v", len(value), err)
		}
	}
	if e := asError(t, http2.NewDecoder(limits).Skip(make([]byte, limits.MaxBlock()+1))); e.Code != http2.EnhanceYourCalm || e.Stream != 0 {
		t.Errorf("a block far above the limits: %+v", e)
	}
}

// A bomb is not unpacked: it ends the connection, whoever wanted the block.
func TestBombIsNotUnpacked(t *testing.T) {
	d := http2.NewDecoder(http2.Limits{Bytes: 30_000, Fields: 100})
	if err := d.Request(request("x", strings.Repeat("a", 3000)), true, &message.Request{}); err != nil {
		t.Fatal(err)
	}
	bomb := request()
	for len(bomb) < 50_000 {
		bomb = append(bomb, 0xBE)
	}
	bomb = append(bomb, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF) // what nobody gets to
	for name, decode := range map[string]func() error{
		"wanted":  func() error { return d.Request(bomb, true, &message.Request{}) },
		"skipped": func() error { return d.Skip(bomb) },
	} {
		if e := asError(t, decode()); e.Code != http2.EnhanceYourCalm || e.Stream != 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestRFC7541_2_2_TheTableStaysInStep(t *testing.T) {
	// The last field of each first block becomes the newest of the table; the
	// second block refers to it.
	for name, first := range map[string]func(d *http2.Decoder) error{
		"malformed": func(d *http2.Decoder) error {
			return d.Request(request("Bad", "1", "x", "1"), true, &message.Request{})
		},
		"too large": func(d *http2.Decoder) error {
			return d.Request(request("a", strings.Repeat("x", 3000), "x", "1"), true, &message.Request{})
		},
		"skipped": func(d *http2.Decoder) error { return d.Skip(request("x", "1")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := http2.NewDecoder(http2.Limits{Bytes: 2000, Fields: 10})
			if err := first(d); (err == nil) != (name == "skipped") {
				t.Fatal(err)
			}
			var r message.Request
			if err := d.Request(append([]byte{0x82, 0x86, 0x84, 0x41, 0x01, 'a'}, 0xBF), true, &r); err != nil {
				t.Fatal(err)
			}
			if got := r.Header.Get("x"); got != "1" {
				t.Errorf("x = %q", got)
			}
		})
	}
}

func TestTrailerOfRequest(t *testing.T) {
	d := http2.NewDecoder(http2.DefaultLimits)
	if err := d.Request(request(), false, &message.Request{}); err != nil {
		t.Fatal(err)
	}
	checkTrailers(t, d, "x", "1")
}

// checkTrailers holds the rules of trailers; want is of the pairs x and x_y.
func checkTrailers(t *testing.T, d *http2.Decoder, want ...string) {
	t.Helper()
	got := header("left", "over")
	err := d.Trailer(coded("x", "1", "x_y", "2", "content-length", "9", "host", "a", "trailer", "b", "expect", "c", "authorization", "d",
		"set-cookie", "e", "content-type", "f", "x-forwarded-for", "g"), &got)
	if diff := cmp.Diff(header(want...), got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for name, pair := range map[string][2]string{
		"pseudo-header field": {":path", "/"}, "status": {":status", "200"}, "connection": {"connection", "x"}, "TE": {"te", "trailers"},
		"framing": {"transfer-encoding", "chunked"}, "upper case": {"X", "1"}, "line end": {"x", "1\r\ny: 2"}, "space": {"x", "1 "},
	} {
		if e := asError(t, d.Trailer(coded(pair[0], pair[1]), &got)); e.Code != http2.ProtocolError || e.Stream != http2.ThisStream || e.Status != 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
