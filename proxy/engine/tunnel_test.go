package engine_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// handshake is a WebSocket handshake (RFC 6455 section 4.1).
var handshake = get("/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x")

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// RFC 6455 section 4.1: what is not the whole handshake is passed on as a
// request without Upgrade.
func TestRFC6455_4_1_OnlyHandshakesUpgrade(t *testing.T) {
	fields := "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
	requests := map[string]string{
		"method":            "PUT / HTTP/1.1\nHost: a\n" + fields + "\n",
		"body":              "GET / HTTP/1.1\nHost: a\n" + fields + "Content-Length: 2\n\nhi",
		"HTTP/1.0":          "GET / HTTP/1.0\nHost: a\n" + fields + "\n",
		"no version":        get("/", "Connection: Upgrade", "Upgrade: websocket"),
		"not in Connection": get("/", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
		"another protocol":  get("/", "Connection: Upgrade", "Upgrade: irc/6.9", "Sec-WebSocket-Version: 13"),
		"two protocols":     get("/", "Connection: Upgrade", "Upgrade: websocket, h2c", "Sec-WebSocket-Version: 13"),
	}
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		for name, request := range requests {
			if head := ask(request); strings.Contains(strings.ToLower(head), "upgrade") {
				g.Errorf("%s: an upgrade reached the backend:\n%s", name, head)
			}
		}
	})
}

// RFC 9110 section 7.8: the protocol that the backend switches to is the one asked for.
func TestRFC9110_7_8_AnotherProtocolIs502(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: irc\n\n", false)
		c := g.dial()
		c.send(handshake)
		c.want(502, "502 Bad Gateway\n")
	})
}

// Bytes behind a handshake belong to the tunnel, and to nobody before there is one.
func TestNoByteGoesBeforeThe101(t *testing.T) {
	inBubble(t, func(g *gateway) {
		var early atomic.Bool
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := r.Peek(1)
			early.Store(err == nil)
			c.SetReadDeadline(time.Time{})
			io.WriteString(c, switching)
			io.Copy(c, r)
		}), config.Rule{})
		c := g.dial()
		c.send(handshake + "frame")
		c.response("GET")
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c.in, buf); err != nil || string(buf) != "frame" || early.Load() {
			g.Errorf("got %q, %v; before the 101: %v", buf, err, early.Load())
		}
	})
}

// A backend that declines may all the same take what follows for frames, so
// its connection is not used again; the client's is.
func TestDeclinedUpgrades(t *testing.T) {
	inBubble(t, func(g *gateway) {
		var connections atomic.Int64
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			for connections.Add(1); readHead(r) != ""; {
				io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")
			}
		}), config.Rule{})
		c := g.dial()
		c.send(handshake + get("/next"))
		c.want(400, "no")
		c.want(400, "no")
		if n := connections.Load(); n != 2 {
			g.Errorf("two requests took %d connections", n)
		}
	})
}

// Gateway API, BackendProtocol: kubernetes.io/ws is WebSocket in clear text.
func TestGatewayAPI_AppProtocolWebSocket(t *testing.T) {
	onBoth(t, func(g *gateway) {
		origin := g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, switching)
			io.Copy(c, r)
		})
		g.serve(origin, config.Rule{})
		b := backend("service/default/web:80", origin)
		b.Protocol = config.AppWebSocket
		g.apply(config.Delta{Backends: []*config.Backend{b}})
		c := g.dial()
		c.send(handshake)
		if r, _ := c.response("GET"); r.StatusCode != 101 {
			g.Errorf("got %d", r.StatusCode)
		}
	})
}

// The times of a request end with its 101.
func TestTimeoutsDoNotHitTunnels(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, switching)
			io.Copy(c, r)
		}), config.Rule{Timeouts: config.Timeouts{Request: 2 * time.Second, BackendRequest: time.Second}})
		c := g.dial()
		c.send(handshake)
		c.response("GET")
		for range 3 {
			time.Sleep(20 * time.Minute)
			c.send("ping\n")
			if line, err := c.in.ReadString('\n'); line != "ping\r\n" {
				g.Fatal(line, err)
			}
		}
	})
}

// Tunnels live through a drain, up to its limit.
func TestDrainLetsTunnelsLive(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, switching)
			io.Copy(c, r)
		}), config.Rule{})
		c := g.dial()
		c.send(handshake)
		c.response("GET")
		done := g.shutdown(0, time.Minute)
		time.Sleep(50 * time.Second)
		c.send("ping\n")
		if line, err := c.in.ReadString('\n'); line != "ping\r\n" {
			g.Fatal(line, err)
		}
		c.wantClosed()
		<-done
		synctest.Wait()
	})
}
