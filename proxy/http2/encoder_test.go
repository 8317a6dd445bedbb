package http2_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

func newHPACK() *hpack.Decoder { return hpack.NewDecoder(http2.DefaultHPACKTable, nil) }

func TestAppendRequest(t *testing.T) {
	const unknown = message.LengthUnknown
	type request = message.Request
	start := func(method, path string, more ...string) []string {
		return append([]string{":method", method, ":scheme", "http", ":authority", "a:81", ":path", path}, more...)
	}
	for _, c := range []struct {
		name string
		r    request
		end  bool
		want []string
	}{
		{"GET", request{Method: "GET", Path: "/b", Query: "c", HasQuery: true, Header: header("Accept", "*/*", "x-empty", "")}, true,
			start("GET", "/b?c", "accept", "*/*", "x-empty", "")},
		{"empty query", request{Method: "GET", Path: "/", HasQuery: true}, true, start("GET", "/?")},
		{"OPTIONS", request{Method: "OPTIONS", Path: "*"}, true, start("OPTIONS", "*")},
		{"POST without a body", request{Method: "POST", Path: "/"}, true, start("POST", "/", "content-length", "0")},
		{"DELETE without a body", request{Method: "DELETE", Path: "/"}, true, start("DELETE", "/")},
		{"body with a length", request{Method: "GET", Path: "/", BodyLength: 3}, false, start("GET", "/", "content-length", "3")},
		{"body", request{Method: "POST", Path: "/", BodyLength: unknown, ExpectContinue: true, AcceptTrailers: true}, false,
			start("POST", "/", "expect", "100-continue", "te", "trailers")},
		{"a length of nothing", request{Method: "PUT", Path: "/", BodyLength: 3}, true, start("PUT", "/")},
		{"fields of connections", request{Method: "GET", Path: "/", Close: true, Upgrade: "foo/2", Header: header("Connection", "x", "host", "b", "Content-Length", "9",
			"Transfer-Encoding", "chunked", "TE", "gzip", "Upgrade", "x", "Keep-Alive", "5", "X", "1", "HTTP2-Settings", "a", "Proxy-Connection", "b")}, true,
			start("GET", "/", "x", "1")},
		{"WebSocket", request{Method: "GET", Path: "/", Upgrade: "WebSocket", Header: header("Sec-WebSocket-Key", "a", "Sec-WebSocket-Version", "13")}, false,
			append([]string{":protocol", "websocket"}, start("CONNECT", "/", "sec-websocket-version", "13")...)},
		{"evil start", request{Method: "GET /x\r\n", Path: "/ \r\n:status: 1", Query: "\x00", HasQuery: true}, true,
			start("GET%20%2Fx%0D%0A", "/%20%0D%0A:status:%201?%00")},
		{"evil fields", request{Method: "GET", Path: "/", Header: header("a\r\nb", "1", "", "1", ":path", "/x", "a", "b\r\nc: d", "e", "\x00", "f", " g\t", "caf\u00e9", "1")}, true,
			start("GET", "/", "f", "g")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Authority = "a:81"
			frames := http2.NewEncoder().AppendRequest([]byte("before"), &c.r, stream, c.end, maxFrame)
			got, ended := fields(t, newHPACK(), frames[len("before"):], maxFrame)
			if diff := cmp.Diff(c.want, got); diff != "" || ended != c.end || string(frames[:6]) != "before" {
				t.Errorf("end %v %s", ended, diff)
			}
		})
	}
	r := request{Method: "GET", Scheme: "https", Authority: "shop.example", Spelling: "Shop.example", Path: "/"}
	got, _ := fields(t, newHPACK(), http2.NewEncoder().AppendRequest(nil, &r, stream, true, maxFrame), maxFrame)
	if want := []string{":method", "GET", ":scheme", "https", ":authority", "Shop.example", ":path", "/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppendResponse(t *testing.T) {
	const unknown = message.LengthUnknown
	type response = message.Response
	for _, c := range []struct {
		name        string
		r           response
		end, tunnel bool
		want        []string
	}{
		{"nothing", response{Status: 200, Reason: "OK", Header: header("Server", "a")}, true, false, []string{":status", "200", "server", "a"}},
		{"nothing, before trailers", response{Status: 200}, false, false, []string{":status", "200", "content-length", "0"}},
		{"body", response{Status: 200, BodyLength: unknown, UntilClose: true, Close: true}, false, false, []string{":status", "200"}},
		{"body with a length", response{Status: 206, BodyLength: 5}, false, false, []string{":status", "206", "content-length", "5"}},
		{"HEAD", response{Status: 200, DeclaredLength: 5}, true, false, []string{":status", "200", "content-length", "5"}},
		{"304", response{Status: 304, DeclaredLength: 5}, true, false, []string{":status", "304", "content-length", "5"}},
		{"304 without a length", response{Status: 304, DeclaredLength: unknown}, true, false, []string{":status", "304"}},
		{"204", response{Status: 204, BodyLength: 5, DeclaredLength: 5}, true, false, []string{":status", "204"}},
		{"103", response{Status: 103, Header: header("Link", "a")}, false, false, []string{":status", "103", "link", "a"}},
		{"WebSocket", response{Status: 101, Upgrade: "websocket", DeclaredLength: unknown, Header: header("Sec-WebSocket-Accept", "a", "Sec-WebSocket-Protocol", "b")}, false, true,
			[]string{":status", "200", "sec-websocket-protocol", "b"}},
		{"WebSocket refused", response{Status: 426, Upgrade: "websocket", BodyLength: 2}, false, true, []string{":status", "426", "content-length", "2"}},
		{"101 without a tunnel", response{Status: 101, Upgrade: "websocket", DeclaredLength: unknown}, true, false, []string{":status", "502"}},
		{"no status", response{}, true, false, []string{":status", "502"}},
		{"evil", response{Status: 200, Reason: "a\r\nb", Header: header("a", "\n", "B\r", "c", ":status", "1", "Connection", "x")}, true, false, []string{":status", "200"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames := http2.NewEncoder().AppendResponse(nil, &c.r, stream, c.end, c.tunnel, maxFrame)
			got, ended := fields(t, newHPACK(), frames, maxFrame)
			if diff := cmp.Diff(c.want, got); diff != "" || ended != c.end {
				t.Errorf("end %v %s", ended, diff)
			}
		})
	}
}

func TestAppendTrailer(t *testing.T) {
	h := header("Grpc-Status", "0", "x_y", "1", "Content-Length", "5", "Host", "a", "Authorization", "b", "TE", "trailers", ":status", "200", "bad", "\r\n")
	for want, h := range map[string]*message.Header{"[grpc-status 0 x_y 1]": &h, "[]": nil} {
		got, ended := fields(t, newHPACK(), http2.NewEncoder().AppendTrailer(nil, h, stream, maxFrame), maxFrame)
		if fmt.Sprint(got) != want || !ended {
			t.Errorf("got %v, %v; want %s", got, ended, want)
		}
	}
}

func TestRFC9113_4_3_BlocksInManyFrames(t *testing.T) {
	const most = 100
	for size := range 5 * most { // each cut falls on each byte
		want := []string{":status", "200", "x", strings.Repeat("\\", size)} // Huffman would make it longer
		r := message.Response{Status: 200, Header: header(want[2:]...)}
		frames := http2.NewEncoder().AppendResponse(nil, &r, stream, true, false, most)
		got, ended := fields(t, newHPACK(), frames, most)
		if !slices.Equal(got, want) || !ended {
			t.Fatalf("%d bytes: got %q, %v", size, got, ended)
		}
	}
}

func TestRFC7541_6_FieldsBecomeReferences(t *testing.T) {
	e, d := http2.NewEncoder(), newHPACK()
	r := message.Request{Method: "POST", Authority: "shop.example", Path: "/grpc.Health/Check", AcceptTrailers: true,
		Header: header("Content-Type", "application/grpc", "User-Agent", "tester/1.0", "X-Tenant", "one"), BodyLength: message.LengthUnknown}
	var sizes [2]int
	for i := range sizes {
		frames := e.AppendRequest(nil, &r, stream, false, maxFrame)
		fields(t, d, frames, maxFrame)
		sizes[i] = len(frames) - http2.FrameHeaderLen
	}
	if sizes[1] != 8 {
		t.Errorf("blocks of %v bytes; the second should have one for each of 8 fields", sizes)
	}
}

// The table must not change with the buffer that a message was parsed from.
func TestEncoderKeepsNoStrings(t *testing.T) {
	e, d := http2.NewEncoder(), newHPACK()
	want := []string{":status", "200", "server", "first"}
	r := message.Response{Status: 200, Header: header("server", "first")}
	fields(t, d, e.AppendResponse(nil, &r, stream, true, false, maxFrame), maxFrame)
	buf := []byte("serverfirst")
	r.Header = viewHeader(buf, len("server"))
	first := e.AppendResponse(nil, &r, stream, true, false, maxFrame)
	copy(buf[len("server"):], "other")
	second := e.AppendResponse(nil, &r, stream, true, false, maxFrame)
	for i, frames := range [][]byte{first, second} {
		if i == 1 {
			want[3] = "other"
		}
		if got, _ := fields(t, d, frames, maxFrame); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRFC7541_7_1_3_SecretsStayOutOfTables(t *testing.T) {
	e := http2.NewEncoder()
	r := message.Response{Status: 200, Header: header("Authorization", "Basic c2VjcmV0", "Cookie", "secret=1", "Proxy-Authorization", "secret2", "Set-Cookie", "secret=3", "X-API-Key", "secret4")}
	var sizes [2]int
	for i := range sizes {
		block, _ := join(t, e.AppendResponse(nil, &r, stream, true, false, maxFrame), maxFrame)
		sizes[i] = len(block)
		d := hpack.NewDecoder(0, func(f hpack.HeaderField) { // an entry of the table would be an error
			if f.Name != ":status" && !f.Sensitive {
				t.Errorf("%v may be indexed by others", f)
			}
		})
		if _, err := d.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if sizes[0] != sizes[1] {
		t.Errorf("blocks of %v bytes", sizes)
	}
}

func TestRFC7541_4_2_TableSizes(t *testing.T) {
	steps := []struct {
		sizes []uint32
		begin []byte // of the block
	}{
		{nil, nil},
		{[]uint32{4096}, nil},
		{[]uint32{1 << 31}, nil},
		{[]uint32{0}, []byte{0x20}},
		{[]uint32{0}, nil},
		{[]uint32{100}, []byte{0x3F, 0x45}},
		{[]uint32{300, 0, 200}, []byte{0x20}},
		{[]uint32{300, 150, 200}, []byte{0x3F, 0x77}},
		{[]uint32{64000}, []byte{0x3F, 0xE1, 0x1F}},
		{[]uint32{100, 4096}, []byte{0x3F, 0x45}},
	}
	e, d := http2.NewEncoder(), newHPACK()
	for i, step := range steps {
		for _, n := range step.sizes {
			e.SetTableSize(n)
		}
		want := []string{":status", "200", "server", "a", "x-step", fmt.Sprint(i), "x-other", "b"}
		r := message.Response{Status: 200, Header: header(want[2:]...)}
		frames := e.AppendResponse(nil, &r, stream, true, false, maxFrame)
		begin := frames[http2.FrameHeaderLen:]
		if !bytes.HasPrefix(begin, step.begin) || begin[len(step.begin)]&0xE0 == 0x20 {
			t.Errorf("step %d begins with %x, want %x", i, begin[:8], step.begin)
		}
		if got, _ := fields(t, d, frames, maxFrame); !slices.Equal(got, want) {
			t.Errorf("step %d: got %q", i, got)
		}
	}
}

// TestRFC7541_4_4_Eviction holds both tables together over many blocks of fields
// that drive each other out.
func TestRFC7541_4_4_Eviction(t *testing.T) {
	e, d := http2.NewEncoder(), newHPACK()
	for i := range 2000 {
		if i%97 == 0 {
			e.SetTableSize(uint32(i*31) % 4097)
		}
		name, value := fmt.Sprintf("x-%d", i*7%90), strings.Repeat("v", i*13%200)+fmt.Sprint(i%5)
		want := []string{":status", "200", name, value, "server", fmt.Sprint(i % 50), "x-same", "s"}
		r := message.Response{Status: 200, Header: header(want[2:]...)}
		if got, _ := fields(t, d, e.AppendResponse(nil, &r, stream, true, false, maxFrame), maxFrame); !slices.Equal(got, want) {
			t.Fatalf("block %d: got %q, want %q", i, got, want)
		}
	}
}
