package http1_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

var browserRequest = []byte(head(
	"GET /shop/catalogue/items?category=books&page=2 HTTP/1.1",
	"Host: shop.example",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language: en-US,en;q=0.5",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Referer: http://shop.example/shop/catalogue",
	"Connection: keep-alive",
	"Cookie: session=4f1c0f1e9a7b4f2f8f1d; theme=dark; consent=essential",
	"Upgrade-Insecure-Requests: 1",
	"Sec-Fetch-Dest: document",
	"Sec-Fetch-Mode: navigate",
	"Priority: u=0, i",
))

func BenchmarkParseRequest(b *testing.B) {
	var r message.Request
	p := http1.Parser{Limits: http1.DefaultLimits}
	b.SetBytes(int64(len(browserRequest)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := p.Request(browserRequest, &r); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkParseRequestByteByByte is the cost of a whole request.
func BenchmarkParseRequestByteByByte(b *testing.B) {
	var r message.Request
	b.SetBytes(int64(len(browserRequest)))
	b.ReportAllocs()
	for b.Loop() {
		p := http1.Parser{Limits: http1.DefaultLimits}
		for end := range browserRequest {
			if _, err := p.Request(browserRequest[:end+1], &r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

var response = []byte(ok("Content-Type: text/html; charset=utf-8", "Content-Length: 5120", "Date: Mon, 01 Jan 2024 00:00:00 GMT",
	"Server: origin", "Cache-Control: private, max-age=0", `ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"`, "Vary: Accept-Encoding"))

func BenchmarkParseResponse(b *testing.B) {
	var r message.Response
	p := http1.Parser{Limits: http1.DefaultLimits}
	b.SetBytes(int64(len(response)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := p.Response(response, &r, "GET"); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var r message.Request
	p := http1.Parser{Limits: http1.DefaultLimits}
	if _, err := p.Request(browserRequest, &r); err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = http1.AppendRequest(dst[:0], &r)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var r message.Response
	p := http1.Parser{Limits: http1.DefaultLimits}
	if _, err := p.Response(response, &r, "GET"); err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = http1.AppendResponse(dst[:0], &r, 1)
	}
}

func BenchmarkChunkDecoder(b *testing.B) {
	body := http1.AppendLastChunk(http1.AppendChunk(http1.AppendChunk(nil, make([]byte, 4096)), make([]byte, 100)), nil)
	var d http1.ChunkDecoder
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset()
		for buf := body; !d.Done(); {
			_, n, err := d.Decode(buf)
			if err != nil {
				b.Fatal(err)
			}
			buf = buf[n:]
		}
	}
}
