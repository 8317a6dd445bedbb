package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.URL.Path) }

func TestRFC9112_9_3_KeepAlive(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		for i := range 5 {
			c.send(get(fmt.Sprintf("/%d", i)))
			c.want(200, fmt.Sprintf("hello /%d", i))
		}
		c.send(get("/last", "Connection: close"))
		if r := c.want(200, "hello /last"); !r.Close {
			t.Error("the last response does not say Connection: close")
		}
		c.wantClosed()
	})
}

func TestRFC9112_9_3_2_Pipelining(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send(get("/1") + get("/2") + "POST /3 HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi" + get("/4"))
		for i := range 4 {
			c.want(200, fmt.Sprintf("hello /%d", i+1))
		}
	})
}

func TestRFC9112_7_1_ChunkedBothWays(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			if len(r.TransferEncoding) != 1 {
				t.Errorf("transfer codings %v reached the backend", r.TransferEncoding)
			}
			body, _ := io.ReadAll(r.Body)
			w.(http.Flusher).Flush() // no Content-Length
			w.Write(body)
		}), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5;ext=1\nhello\n6\n world\n0\n\n")
		c.want(200, "hello world")
	})
}

func TestRFC9110_9_3_2_HEAD(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "42") }), config.Rule{})
		c := g.dial()
		c.send("HEAD / HTTP/1.1\nHost: a\n\n" + "HEAD / HTTP/1.1\nHost: a\n\n")
		for range 2 {
			if r, body := c.response("HEAD"); r.ContentLength != 42 || body != "" {
				t.Errorf("length %d, body %q", r.ContentLength, body)
			}
		}
	})
}

func TestLargeBodiesBothWays(t *testing.T) {
	const size = 5 << 20
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", fmt.Sprint(n))
			io.Copy(w, io.LimitReader(zeros{}, n))
		}), config.Rule{})
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"} {
			c := g.dial()
			c.send("POST / HTTP/1.1\nHost: a\n" + framing + "\n\n")
			go func() {
				w := bufio.NewWriter(c.Conn)
				if strings.HasPrefix(framing, "T") {
					for range size / 1024 {
						fmt.Fprintf(w, "400\r\n%s\r\n", make([]byte, 1024))
					}
					fmt.Fprint(w, "0\r\n\r\n")
				} else {
					io.Copy(w, io.LimitReader(zeros{}, size))
				}
				w.Flush()
			}()
			if r, body := c.response("POST"); r.StatusCode != 200 || len(body) != size {
				t.Errorf("%s: got %d and %d bytes", framing, r.StatusCode, len(body))
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRFC9110_7_8_WebSocket(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") != "websocket" {
				t.Errorf("upgrade %q reached the backend", req.Header.Get("Upgrade"))
			}
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
			io.Copy(c, r)
		}), config.Rule{})
		c := g.dial()
		c.send(get("/ws", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"))
		r, err := http.ReadResponse(c.in, nil)
		if err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c.in, buf); err != nil || string(buf) != "first" {
			t.Fatalf("%q, %v", buf, err)
		}
		c.send("again")
		if _, err := io.ReadFull(c.in, buf); err != nil || string(buf) != "again" {
			t.Fatalf("%q, %v", buf, err)
		}
		c.Conn.(*net.TCPConn).CloseWrite()
		c.wantClosed()
	})
}
