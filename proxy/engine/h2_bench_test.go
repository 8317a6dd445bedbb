package engine_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// Rounds of 16 streams at once over one connection, to a backend that speaks
// HTTP/1.1. Neither side but the proxy allocates.
func BenchmarkStreams(b *testing.B) {
	const streams = 16
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%s", strings.Repeat("x", 100))
	for _, kind := range []string{"epoll", "portable"} {
		for _, method := range []string{"GET", "POST"} {
			b.Run(kind+"/"+method, func(b *testing.B) {
				log := observe.NewAccessLog(io.Discard, observe.JSON, 1)
				defer log.Close()
				g := newGateway(b, engine.Options{Portable: kind == "portable", Workers: 1, AccessLog: log})
				g.serve(g.rawOrigin(func(c net.Conn, _ *bufio.Reader) {
					for buf, text := make([]byte, 4<<10), []byte(answer); ; {
						n, err := c.Read(buf)
						if err != nil {
							return
						}
						if bytes.HasPrefix(buf[:n], []byte(method)) { // not a body that came later
							c.Write(text)
						}
					}
				}), config.Rule{})
				c := g.dial()
				var out bytes.Buffer
				f := newFramer(b, c.Conn)
				f.Framer = http2.NewFramer(&out, nil)
				out.WriteString(http2.ClientPreface)
				f.WriteSettings()
				f.WriteSettingsAck()
				f.WriteWindowUpdate(0, 1<<31-1-1<<16)
				in := bufio.NewReaderSize(c.Conn, 64<<10)
				id := uint32(1)
				b.ReportAllocs()
				for b.Loop() {
					for range streams {
						f.head(id, method == "GET", ":method", method, ":scheme", "http", ":authority", "web.example", ":path", "/path?query", "user-agent", "bench", "accept", "*/*")
						if method == "POST" {
							f.WriteData(id, true, []byte(strings.Repeat("x", 100)))
						}
						id += 2
					}
					c.Conn.Write(out.Bytes())
					out.Reset()
					skipResponses(b, in, streams)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/stream")
			})
		}
	}
}

// skipResponses reads frames up to the nth that ends a stream.
func skipResponses(t testing.TB, in *bufio.Reader, n int) {
	for n > 0 {
		head, err := in.Peek(9)
		if err != nil {
			t.Fatal(err)
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		kind, flags := http2.FrameType(head[3]), http2.Flags(head[4])
		if kind == http2.FrameGoAway {
			t.Fatal("the connection ends")
		}
		if (kind == http2.FrameHeaders || kind == http2.FrameData) && flags.Has(http2.FlagDataEndStream) {
			n--
		}
		in.Discard(9 + size)
	}
}
