package http2_test

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// viewHeader is a header of one field whose strings are views of buf.
func viewHeader(buf []byte, name int) message.Header {
	s := unsafe.String(&buf[0], len(buf))
	return header(s[:name], s[name:])
}

// evil is what somebody may want to smuggle.
var evil = []string{"a", "", " a", "a\r\nb: c", "\x00", "GET / HTTP/1.1\r\n", "caf\u00e9", "X-Upper", "a_b", "transfer-encoding", "chunked", ":path", "0"}

var requestSeeds = [][]byte{
	request("accept", "*/*", "cookie", "a=1", "cookie", "b=2"), request("content-length", "5", "expect", "100-continue", "te", "trailers"),
	request("x_y", "1", "content-type", "application/grpc+proto", "x-y", "2"),
	extended("sec-websocket-version", "13"), pseudo("OPTIONS", "https", "*", "[::1]:443", "host", "[::1]:443"),
	pseudo("POST", "http", "/a/../%7e%2f?x=[1]", "Shop.Example."), request("x", "1\r\ny: 2"), request("X", "1"), request("transfer-encoding", "chunked"),
	{0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff},
}

// FuzzRequest decodes whatever comes. What is taken must survive our own encoder,
// and http1 must read what it writes of it as one and the same request.
func FuzzRequest(f *testing.F) {
	for _, block := range requestSeeds {
		f.Add(block, true)
		f.Add(block, false)
	}
	f.Fuzz(func(t *testing.T, block []byte, endStream bool) {
		var r message.Request
		d := http2.NewDecoder(http2.DefaultLimits)
		if err := d.Request(block, endStream, &r); err != nil {
			asError(t, err)
			return
		}
		again := roundTripRequest(t, &r)
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		checkHTTP1(t, &r)
	})
}

// FuzzFields does so with blocks made of pairs, which gets deeper.
func FuzzFields(f *testing.F) {
	for _, s := range evil {
		f.Add("GET", "/", "a", s, "1", true)
		f.Add("POST", "/?"+s, "a", "x", s, false)
		f.Add(s, "/"+s, s, "content-length", "5", false)
	}
	f.Fuzz(func(t *testing.T, method, path, authority, name, value string, endStream bool) {
		var r message.Request
		d := http2.NewDecoder(http2.DefaultLimits)
		if d.Request(pseudo(method, "http", path, authority, name, value, "x-last", "1"), endStream, &r) != nil {
			return
		}
		if diff := cmp.Diff(r, roundTripRequest(t, &r), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		checkHTTP1(t, &r)
	})
}

func roundTripRequest(t *testing.T, r *message.Request) (again message.Request) {
	t.Helper()
	ended := r.BodyLength == 0 && r.Upgrade == ""
	block, got := join(t, http2.NewEncoder().AppendRequest(nil, r, stream, ended, maxFrame), maxFrame)
	if got != ended {
		t.Errorf("end %v, want %v", got, ended)
	}
	if err := http2.NewDecoder(http2.Limits{Bytes: 1 << 20, Fields: 1000}).Request(block, ended, &again); err != nil {
		t.Fatalf("%+v became %x: %v", r, block, err)
	}
	return again
}

// checkHTTP1 writes r as HTTP/1.1 and parses what came out, with another request behind it.
func checkHTTP1(t *testing.T, r *message.Request) {
	t.Helper()
	raw := http1.AppendRequest(nil, r)
	p := http1.Parser{Limits: http1.Limits{RequestLine: 1 << 20, HeaderBytes: 1 << 20, HeaderFields: 1000}}
	var got message.Request
	n, err := p.Request(append(raw, "GET /next HTTP/1.1\r\n"...), &got)
	if n != len(raw) || err != nil {
		t.Fatalf("%q: took %d bytes of %d, %v", raw, n, len(raw), err)
	}
	want := *r.Clone()
	want.Major, want.Minor = 1, 1
	if want.Underscores {
		want.Underscores = false
		want.Header.Fields = slices.DeleteFunc(want.Header.Fields, func(f message.Field) bool { return strings.Contains(f.Name, "_") })
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q: %s", raw, diff)
	}
}

// FuzzAppend encodes what no decoder has seen.
func FuzzAppend(f *testing.F) {
	for _, s := range evil {
		f.Add(s, s, s, s, 7, int64(-1))
		f.Add("GET", "/a", "x", s, 200, int64(5))
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string, status int, length int64) {
		const most = 100
		e, decoder := http2.NewEncoder(), newHPACK()
		h := header(a, b, c, d, "x-last", "1")
		request := message.Request{Method: a, Authority: b, Path: c, Query: d, HasQuery: true, Header: h, Upgrade: a, BodyLength: length}
		list, _ := fields(t, decoder, e.AppendRequest(nil, &request, stream, false, most), most)
		checkFields(t, list, ":protocol", ":method", ":scheme", ":authority", ":path")
		response := message.Response{Status: status, Reason: a, Header: h, Upgrade: d, BodyLength: length, DeclaredLength: length}
		list, _ = fields(t, decoder, e.AppendResponse(nil, &response, stream, length == 0, false, most), most)
		checkFields(t, list, ":status")
		list, _ = fields(t, decoder, e.AppendTrailer(nil, &h, stream, most), most)
		checkFields(t, list)
	})
}

// checkFields holds RFC 9113 section 8.2, in other words than the package does, and
// that nothing is lost behind what somebody meant to be the end.
func checkFields(t *testing.T, list []string, pseudo ...string) {
	t.Helper()
	for i := 0; i < len(list); i += 2 {
		name, value := list[i], list[i+1]
		switch {
		case strings.ContainsAny(value, "\r\n\x00\x7f"), value != strings.Trim(value, " \t"):
			t.Errorf("%s: value %q", name, value)
		case slices.Contains(pseudo, name):
			pseudo = slices.DeleteFunc(pseudo, func(p string) bool { return p == name })
			if i > 2*4 || strings.ContainsAny(value, " \t") {
				t.Errorf("%s is field %d: %q", name, i/2, value)
			}
		case name == "" || strings.ContainsAny(name, ":\r\n \t\x00") || name != strings.ToLower(name) || name != strings.ToValidUTF8(name, "?"):
			t.Errorf("name %q", name)
		case slices.Contains([]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "host", "http2-settings"}, name):
			t.Errorf("field %q", name)
		}
	}
	if len(list) < 2 || list[len(list)-2] != "x-last" && list[len(list)-2] != "content-length" {
		t.Errorf("the last field of %q is lost", list)
	}
}

// FuzzResponse writes what was decoded and decodes it again.
func FuzzResponse(f *testing.F) {
	for _, list := range [][]string{
		{":status", "200", "server", "a"}, {":status", "200", "content-length", "5"}, {":status", "304", "content-length", "5"},
		{":status", "103", "link", "a"}, {":status", "204"}, {":status", "200", "x", "1\r\n"},
	} {
		for flags := range byte(8) {
			f.Add(coded(list...), flags)
		}
	}
	f.Fuzz(func(t *testing.T, block []byte, flags byte) {
		endStream, tunnel, method := flags&1 != 0, flags&2 != 0, "GET"
		if flags&4 != 0 {
			method = "HEAD"
		}
		var r, again message.Response
		if http2.NewDecoder(http2.DefaultLimits).Response(block, endStream, method, tunnel, &r) != nil {
			return
		}
		for _, f := range r.Header.Fields {
			if strings.ContainsAny(f.Name+f.Value, "\r\n\x00") {
				t.Fatalf("field %q", f)
			}
		}
		coded, _ := join(t, http2.NewEncoder().AppendResponse(nil, &r, stream, endStream, tunnel, maxFrame), maxFrame)
		if err := http2.NewDecoder(http2.Limits{Bytes: 1 << 20, Fields: 1000}).Response(coded, endStream, method, tunnel, &again); err != nil {
			t.Fatalf("%+v became %x: %v", r, coded, err)
		}
		if method == "HEAD" || r.Status == 304 { // a length of 0 is not repeated behind the end
			r.DeclaredLength, again.DeclaredLength = max(r.DeclaredLength, 0), max(again.DeclaredLength, 0)
		}
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
