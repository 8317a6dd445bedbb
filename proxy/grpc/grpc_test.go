package grpc_test

import (
	"encoding/base64"
	"math"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/message"
)

func TestContentTypes(t *testing.T) {
	for contentType, want := range map[string]struct {
		grpc, web, text bool
		format          string
	}{
		"application/grpc":                  {grpc: true},
		"application/grpc+proto":            {grpc: true},
		"Application/GRPC;charset=utf-8":    {grpc: true},
		"application/grpcx":                 {},
		"application/json":                  {},
		"":                                  {},
		"application/grpc-web":              {web: true},
		"application/grpc-web+proto":        {web: true, format: "+proto"},
		"application/grpc-web+json; q=1":    {web: true, format: "+json"},
		"application/grpc-web-text":         {web: true, text: true},
		"application/grpc-web-text+proto ;": {web: true, text: true, format: "+proto"},
		"application/grpc-website":          {},
	} {
		if got := grpc.Is(contentType); got != want.grpc {
			t.Errorf("%q: gRPC %t", contentType, got)
		}
		web, ok := grpc.WebOf(contentType)
		if ok != want.web || web.Text != want.text || web.Format != want.format {
			t.Errorf("%q: %+v, %t", contentType, web, ok)
		}
	}
}

func TestTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "40m": 40 * time.Millisecond,
		"5u": 5 * time.Microsecond, "99999999n": 99999999 * time.Nanosecond, "0S": 0,
		"99999999H": math.MaxInt64,
	} {
		if got, ok := grpc.Timeout(value); !ok || got != want {
			t.Errorf("%q: %v, %t; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "0x1S", "1_0S"} {
		if got, ok := grpc.Timeout(value); ok {
			t.Errorf("%q is a timeout of %v", value, got)
		}
	}
}

func TestStatusIsTrailersOnly(t *testing.T) {
	r := message.Response{Status: 404}
	grpc.SetStatus(&r, grpc.CodeOf(404), "no route: 100 %\nä")
	if r.Status != 200 || r.Header.Get("content-type") != "application/grpc" || r.Header.Get("grpc-status") != "12" {
		t.Errorf("got %+v", r)
	}
	if got := r.Header.Get("grpc-message"); got != "no route: 100 %25%0A%C3%A4" {
		t.Errorf("got the message %q", got)
	}
}

func TestStatusOf(t *testing.T) {
	for value, want := range map[string]int{"0": 0, "14": 14, "": -1, "-1": -1, "x": -1, "99999": -1} {
		h := message.Header{Fields: []message.Field{{Name: "grpc-status", Value: value}}}
		if got, ok := grpc.StatusOf(&h); ok != (want >= 0) || ok && int(got) != want {
			t.Errorf("%q is %d, %t", value, got, ok)
		}
	}
	if _, ok := grpc.StatusOf(new(message.Header)); ok {
		t.Error("there is a status in nothing")
	}
}

func TestWebTrailer(t *testing.T) {
	trailer := &message.Header{}
	trailer.Add("Grpc-Status", "0")
	trailer.Add("x-more", "of it")
	got := grpc.AppendTrailer([]byte("body"), trailer)
	if want := "body\x80\x00\x00\x00\x1fgrpc-status: 0\r\nx-more: of it\r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := grpc.AppendTrailer(nil, nil); string(got) != "\x80\x00\x00\x00\x00" {
		t.Errorf("got %q", got)
	}
}

func TestTextDecoderRefuses(t *testing.T) {
	for _, text := range []string{"AA", "AAA", "AA=A", "A===", "AA-_", "AAA\n", "AB=="} {
		var d grpc.TextDecoder
		_, err := d.Append(nil, []byte(text))
		if err == nil && d.End() == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// FuzzText writes bytes in base64 in two pieces, with a flush between them or
// not, and reads them in two others.
func FuzzText(f *testing.F) {
	f.Add([]byte("hello"), 2, 3, true)
	f.Add([]byte(""), 0, 0, false)
	f.Fuzz(func(t *testing.T, body []byte, cut, readCut int, flush bool) {
		cut = min(max(cut, 0), len(body))
		var e grpc.TextEncoder
		text := e.Append(nil, body[:cut])
		if flush {
			text = e.Flush(text)
		}
		text = e.Flush(e.Append(text, body[cut:]))
		if want := base64.StdEncoding.EncodeToString(body); !flush && string(text) != want {
			t.Fatalf("got %q, want %q", text, want)
		}
		readCut = min(max(readCut, 0), len(text))
		var d grpc.TextDecoder
		got, err := d.Append(nil, text[:readCut])
		if err == nil {
			got, err = d.Append(got, text[readCut:])
		}
		if err != nil || d.End() != nil || string(got) != string(body) {
			t.Fatalf("%q came back as %q, %v, %v", body, got, err, d.End())
		}
	})
}
