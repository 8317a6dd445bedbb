package engine_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// webSocketOrigin starts a backend of HTTP/1.1 that switches to WebSocket, says
// "first ", echoes, and says "bye" at the end.
func (g *gateway) webSocketOrigin() netip.AddrPort {
	return g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if key, _ := base64.StdEncoding.DecodeString(req.Header.Get("Sec-WebSocket-Key")); req.Method != "GET" || req.Header.Get("Upgrade") != "websocket" || len(key) != 16 {
			g.Errorf("%s with %v reached the backend", req.Method, req.Header)
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: %s\r\n\r\nfirst ",
			acceptOf(req.Header.Get("Sec-WebSocket-Key")))
		io.Copy(c, r)
		io.WriteString(c, "bye")
	})
}

// acceptOf is the answer to a key (RFC 6455 section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// RFC 8441: a WebSocket is a stream, and a connection where the other side
// speaks HTTP/1.1.
func TestRFC8441_WebSocket(t *testing.T) {
	upgrades := map[int]func(g *gateway){
		1: func(g *gateway) {
			g.serve(g.webSocketOrigin(), config.Rule{})
		},
		2: func(g *gateway) {
			g.serveVersion(2, g.framesOrigin(func(f *framer) {
				f.until(func() bool { return len(f.heads) > 0 })
				for id, heads := range f.heads {
					if head := heads[0]; head[":method"] != "CONNECT" || head[":protocol"] != "websocket" || head["sec-websocket-key"] != "" || head["upgrade"] != "" {
						g.Errorf("%v reached the backend", head)
					}
					f.head(id, false, ":status", "200", "sec-websocket-protocol", "chat")
					f.WriteData(id, false, []byte("first "))
					for echoed := 0; !f.ended[id]; {
						if !f.next() {
							return
						}
						f.WriteData(id, false, []byte(f.bodies[id][echoed:]))
						echoed = len(f.bodies[id])
					}
					f.WriteData(id, true, []byte("bye"))
				}
				for f.next() {
				}
			}), config.Rule{})
		},
	}
	clients := map[int]func(g *gateway){
		1: func(g *gateway) {
			const key = "dGhlIHNhbXBsZSBub25jZQ=="
			c := g.dial()
			c.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+key))
			r, _ := c.response("GET")
			if accept := r.Header.Get("Sec-WebSocket-Accept"); r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != "chat" || accept != acceptOf(key) {
				g.Fatalf("got %d with %v", r.StatusCode, r.Header)
			}
			c.send("ping")
			got := make([]byte, len("first ping"))
			if io.ReadFull(c.in, got); string(got) != "first ping" {
				g.Errorf("got %q", got)
			}
			if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
			if rest, _ := io.ReadAll(c.in); string(rest) != "bye" {
				g.Errorf("at the end: %q", rest)
			}
		},
		2: func(g *gateway) {
			f := g.frames()
			f.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/ws", "sec-websocket-version", "13")
			f.until(func() bool { return strings.HasSuffix(f.bodies[1], "first ") })
			f.WriteData(1, false, []byte("ping"))
			f.until(func() bool { return strings.HasSuffix(f.bodies[1], "ping") })
			f.WriteData(1, true, nil)
			f.want(1, 200, "first pingbye")
			if head := f.heads[1][0]; head["sec-websocket-protocol"] != "chat" || head["sec-websocket-accept"] != "" || head["upgrade"] != "" {
				g.Errorf("the client got %v", head)
			}
		},
	}
	for user, ask := range clients {
		for origin, serve := range upgrades {
			t.Run(fmt.Sprintf("%d to %d", user, origin), func(t *testing.T) {
				onBoth(t, func(g *gateway) {
					serve(g)
					ask(g)
				})
			})
		}
	}
}

// A client that has ended its side of a tunnel and then goes takes the tunnel with
// it, though nobody reads from it any more.
func TestTunnelOfAClientThatIsGone(t *testing.T) {
	for name, leave := range map[string]func(f *framer){
		"its stream is reset":      func(f *framer) { f.WriteRSTStream(1, http2.ErrCodeCancel) },
		"its connection has ended": func(f *framer) { f.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				log := observe.NewAccessLog(&out, observe.JSON, 1)
				g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), AccessLog: log})
				end := make(chan bool)
				defer close(end)
				g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\nfirst",
						acceptOf(req.Header.Get("Sec-WebSocket-Key")))
					io.Copy(io.Discard, r)
					<-end // as if it had not understood
				}), config.Rule{})
				f := g.frames()
				f.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/ws", "sec-websocket-version", "13")
				f.until(func() bool { return f.bodies[1] == "first" })
				f.WriteData(1, true, nil)
				synctest.Wait()
				leave(f)
				time.Sleep(time.Minute)
				log.Close()
				if !strings.Contains(out.String(), `"upgrade":true`) {
					t.Error("the tunnel goes on")
				}
			})
		})
	}
}

// RFC 6455 section 4.1: a backend that does not answer the key of the gateway is
// no WebSocket. The key of a client of HTTP/1.1 is the client's to check.
func TestRFC6455_4_1_KeyThatIsNotAnswered(t *testing.T) {
	for _, accept := range []string{"", "Sec-WebSocket-Accept: x\n"} {
		onBoth(t, func(g *gateway) {
			g.answers("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n"+accept+"\n", false)
			f := g.frames()
			f.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/ws", "sec-websocket-version", "13")
			f.want(1, 502, "502 Bad Gateway\n")
			c := g.dial()
			c.send(handshake)
			if r, _ := http.ReadResponse(c.in, nil); r == nil || r.StatusCode != 101 {
				g.Errorf("got %v", r)
			}
		})
	}
}

// RFC 8441 section 5: a response of 2xx is a tunnel, so it is not given for
// another reason.
func TestRFC8441_5_DeclinedWebSockets(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			status := strings.TrimPrefix(strings.Fields(readHead(r))[1], "/")
			fmt.Fprintf(c, "HTTP/1.1 %s Status\r\nContent-Length: 2\r\n\r\nno", status)
		}), config.Rule{})
		f := g.frames()
		for i, tt := range []struct {
			path, version string
			status        int
			body          string
		}{{"/200", "13", 502, "502 Bad Gateway\n"}, {"/403", "13", 403, "no"}, {"/200", "", 400, "400 Bad Request\n"}} {
			id := uint32(2*i + 1)
			fields := []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", tt.path}
			if tt.version != "" {
				fields = append(fields, "sec-websocket-version", tt.version)
			}
			f.head(id, false, fields...)
			f.want(id, tt.status, tt.body)
		}
	})
}
