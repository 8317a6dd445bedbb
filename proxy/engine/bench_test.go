package engine_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// parrot starts a backend that gives one answer to every read, and allocates
// nothing. It suits clients that send one small request at a time.
func (g *gateway) parrot(answer string) netip.AddrPort {
	text := []byte(answer)
	return g.rawOrigin(func(c net.Conn, _ *bufio.Reader) {
		for buf := make([]byte, 4<<10); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	})
}

// skip reads one response whose body has the size, and allocates nothing.
func (c *client) skip(size int) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.Fatal(err)
		}
		if len(line) == len("\r\n") {
			break
		}
	}
	if _, err := c.in.Discard(size); err != nil {
		c.Fatal(err)
	}
}

// One request at a time over one connection that is kept alive; client and
// backend allocate nothing, so what is allocated the proxy does.
func BenchmarkRequest(b *testing.B) {
	request := []byte("GET /path?query HTTP/1.1\r\nHost: web.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	for _, kind := range []string{"epoll", "portable"} {
		for _, size := range []int{100, 64 << 10} {
			body := strings.Repeat("x", size)
			for framing, answer := range map[string]string{
				"counted": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body),
				"chunked": fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", kind, size, framing), func(b *testing.B) {
					log := observe.NewAccessLog(io.Discard, observe.JSON, 1)
					defer log.Close()
					g := newGateway(b, engine.Options{Portable: kind == "portable", Workers: 1, AccessLog: log})
					g.serve(g.parrot(answer), config.Rule{})
					c := g.dial()
					b.ReportAllocs()
					for b.Loop() {
						c.Conn.Write(request)
						if framing == "counted" {
							c.skip(size)
						} else {
							c.skipChunks()
						}
					}
				})
			}
		}
	}
}

// What TLS adds to a small request, beside the same in clear text. What the
// client allocates, crypto/tls does on its side as well.
func BenchmarkRequestInTLS(b *testing.B) {
	request := []byte("GET /path?query HTTP/1.1\r\nHost: web.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("x", 100)
	for _, kind := range []string{"epoll", "portable"} {
		for _, secure := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/tls=%v", kind, secure), func(b *testing.B) {
				g := newGateway(b, engine.Options{Portable: kind == "portable", Workers: 1})
				if secure {
					g.secured()
				}
				g.serve(g.parrot(answer), config.Rule{})
				c := g.dial()
				if secure {
					c = g.mustDialTLS(nil)
				}
				b.ReportAllocs()
				for b.Loop() {
					c.Conn.Write(request)
					c.skip(100)
				}
			})
		}
	}
}

// A connection in TLS costs a handshake.
func BenchmarkHandshake(b *testing.B) {
	for _, kind := range []string{"epoll", "portable"} {
		b.Run(kind, func(b *testing.B) {
			g := newGateway(b, engine.Options{Portable: kind == "portable", Workers: 1}).secured()
			g.serve(g.parrot("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), config.Rule{})
			for b.Loop() {
				g.mustDialTLS(nil).Close()
			}
		})
	}
}

// skipChunks reads one response in chunks, and allocates nothing.
func (c *client) skipChunks() {
	for c.skip(0); ; {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.Fatal(err)
		}
		size := 0
		for _, d := range line[:len(line)-2] {
			if d > '9' {
				d -= 'a' - '0' - 10
			}
			size = size<<4 | int(d-'0')
		}
		if _, err := c.in.Discard(size + 2); err != nil {
			c.Fatal(err)
		}
		if size == 0 {
			return
		}
	}
}

// A connection that waits for a request holds neither buffers nor a coroutine.
func TestIdleConnectionsHoldNoBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the portable loops hold a goroutine for each")
	}
	const connections, bound = 1000, 2 << 10 // bytes for each, both ends of it
	g := newGateway(t, engine.Options{Workers: 1})
	g.serve(g.parrot("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), config.Rule{})
	in := bufio.NewReader(nil)
	open := func() {
		c, err := g.network.Dial(t.Context(), "tcp", g.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		in.Reset(c)
		user := client{t, c, in}
		user.send(get("/"))
		user.skip(0)
	}
	open() // also the first exchange is made
	before := memory()
	for range connections {
		open()
	}
	if each := (memory() - before) / connections; each > bound {
		t.Errorf("an idle connection costs %d bytes, the bound is %d", each, bound)
	} else {
		t.Logf("an idle connection costs %d bytes", each)
	}
}

// In TLS it holds keys, whatever records came in before.
func TestIdleConnectionsInTLSHoldNoBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the portable loops hold a goroutine for each")
	}
	const connections, bound = 300, 8 << 10 // bytes for each, and for the socket of its client
	for name, request := range map[string]string{
		"a small request": get("/"),
		"a large one":     get("/", "X-Large: "+strings.Repeat("x", 12<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, engine.Options{Workers: 1}).secured()
			g.serve(g.parrot("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), config.Rule{})
			open := func() net.Conn {
				c := g.mustDialTLS(nil)
				c.send(request)
				c.skip(0)
				return c.Conn.(*tls.Conn).NetConn()
			}
			open() // also the first exchange is made
			before := memory()
			for range connections {
				open() // what the client knows of TLS is let go
			}
			if each := (memory() - before) / connections; each > bound {
				t.Errorf("an idle connection costs %d bytes, the bound is %d", each, bound)
			} else {
				t.Logf("an idle connection costs %d bytes", each)
			}
		})
	}
}

// What TLS allocates for a request, crypto/tls does: one piece for each record
// that it reads, here the client's and the gateway's.
func TestRequestsInTLSAllocateNothing(t *testing.T) {
	if runtime.GOOS != "linux" || underRace {
		t.Skip("the portable loops allocate for each wait, and the race detector has pools forget")
	}
	g := newGateway(t, engine.Options{Workers: 1}).secured()
	g.serve(g.parrot("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), config.Rule{})
	c := g.mustDialTLS(nil)
	request := []byte("GET / HTTP/1.1\r\nHost: web.example\r\n\r\n")
	if n := testing.AllocsPerRun(1000, func() {
		c.Conn.Write(request)
		c.skip(0)
	}); n > 2 {
		t.Errorf("a request allocates %v times", n)
	}
}

// memory is what heap and stacks take.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
