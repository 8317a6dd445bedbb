package http2_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

var browserRequest = message.Request{
	Method: "GET", Scheme: "https", Authority: "shop.example", Path: "/shop/catalogue/items", Query: "category=books&page=2", HasQuery: true,
	Header: header(
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language", "en-US,en;q=0.5",
		"Accept-Encoding", "gzip, deflate, br, zstd",
		"Referer", "https://shop.example/shop/catalogue",
		"Cookie", "session=4f1c0f1e9a7b4f2f8f1d; theme=dark; consent=essential",
		"Sec-Fetch-Mode", "navigate",
		"Priority", "u=0, i",
	),
}

var callRequest = message.Request{
	Method: "POST", Scheme: "http", Authority: "greeter:50051", Path: "/helloworld.Greeter/SayHello", BodyLength: message.LengthUnknown, AcceptTrailers: true,
	Header: header("content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "grpc-accept-encoding", "gzip", "grpc-timeout", "999912u"),
}

var usualResponse = message.Response{
	Status: 200, BodyLength: 5120,
	Header: header("Content-Type", "text/html; charset=utf-8", "Date", "Mon, 01 Jan 2024 00:00:00 GMT", "Server", "origin", "Cache-Control", "private, max-age=0",
		"ETag", `"33a64df551425fcc55e4d42a148795d9f25f89d4"`, "Vary", "Accept-Encoding"),
}

// warm is the block that comes once the tables hold what they can.
func warm(b *testing.B, appendTo func(e *http2.Encoder) []byte, decode func(block []byte) error) []byte {
	e := http2.NewEncoder()
	var block []byte
	for range 2 {
		block = appendTo(e)[http2.FrameHeaderLen:]
		if err := decode(block); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	return block
}

func BenchmarkDecodeRequest(b *testing.B) {
	for name, r := range map[string]*message.Request{"browser": &browserRequest, "gRPC": &callRequest} {
		b.Run(name, func(b *testing.B) {
			d := http2.NewDecoder(http2.DefaultLimits)
			var got message.Request
			end := r.BodyLength == 0
			decode := func(block []byte) error { return d.Request(block, end, &got) }
			block := warm(b, func(e *http2.Encoder) []byte { return e.AppendRequest(nil, r, 1, end, maxFrame) }, decode)
			for b.Loop() {
				if err := decode(block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeResponse(b *testing.B) {
	d := http2.NewDecoder(http2.DefaultLimits)
	var got message.Response
	decode := func(block []byte) error { return d.Response(block, false, "GET", false, &got) }
	block := warm(b, func(e *http2.Encoder) []byte { return e.AppendResponse(nil, &usualResponse, 1, false, false, maxFrame) }, decode)
	for b.Loop() {
		if err := decode(block); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRequest(b *testing.B) {
	for name, r := range map[string]*message.Request{"browser": &browserRequest, "gRPC": &callRequest} {
		b.Run(name, func(b *testing.B) {
			e := http2.NewEncoder()
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = e.AppendRequest(out[:0], r, 1, false, maxFrame)
			}
			b.ReportMetric(float64(len(out)-http2.FrameHeaderLen), "bytes/block")
		})
	}
}

func BenchmarkEncodeResponse(b *testing.B) {
	e := http2.NewEncoder()
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = e.AppendResponse(out[:0], &usualResponse, 1, false, false, maxFrame)
	}
	b.ReportMetric(float64(len(out)-http2.FrameHeaderLen), "bytes/block")
}

func BenchmarkParseFrame(b *testing.B) {
	raw := http2.AppendData(nil, 1, make([]byte, 1024), false)
	b.ReportAllocs()
	for b.Loop() {
		if f, n, err := http2.ParseFrame(raw, maxFrame); n == 0 || err != nil {
			b.Fatal(f, n, err)
		}
	}
}

// BenchmarkEncodeAlwaysNew is the worst that a table costs: nothing comes twice.
func BenchmarkEncodeAlwaysNew(b *testing.B) {
	e := http2.NewEncoder()
	var out []byte
	value := []byte("00000000")
	b.ReportAllocs()
	for b.Loop() {
		for i := len(value) - 1; i >= 0; i-- {
			if value[i]++; value[i] <= '9' {
				break
			}
			value[i] = '0'
		}
		r := message.Response{Status: 200, Header: viewHeader(append([]byte("x"), value...), 1)}
		out = e.AppendResponse(out[:0], &r, 1, false, false, maxFrame)
	}
}

// TestUsualMessagesAllocateLittle: a block that the tables know costs the strings
// that stay out of them, and none to write.
func TestUsualMessagesAllocateLittle(t *testing.T) {
	e := http2.NewEncoder()
	out := e.AppendRequest(nil, &browserRequest, 1, true, maxFrame)
	if n := testing.AllocsPerRun(100, func() { out = e.AppendRequest(out[:0], &browserRequest, 1, true, maxFrame) }); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
	d, block := http2.NewDecoder(http2.DefaultLimits), coded(":status", "200")
	var r message.Response
	if n := testing.AllocsPerRun(100, func() { _ = d.Response(block, true, "GET", false, &r) }); n != 0 {
		t.Errorf("decoding what the static table holds allocates %v times", n)
	}
}
