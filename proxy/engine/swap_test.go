package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

func TestChangesReachOpenConnections(t *testing.T) {
	onBoth(t, func(g *gateway) {
		origin := g.origin(hello)
		g.serve(origin, config.Rule{})
		c := g.dial()
		for i := range 20 {
			g.serve(origin, config.Rule{Filters: config.Filters{ResponseHeaders: &config.HeaderModifier{
				Set: []config.Header{{Name: "Version", Value: fmt.Sprint(i)}},
			}}})
			c.send(get("/"))
			if got := c.want(200, "hello /").Header.Get("Version"); got != fmt.Sprint(i) {
				g.Fatalf("version %q answers after %d was applied", got, i)
			}
		}
	})
}

func TestListenersComeAndGo(t *testing.T) {
	onBoth(t, func(g *gateway) {
		started, release := make(chan bool), make(chan bool)
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				started <- true
				<-release
			}
			hello(w, r)
		}), config.Rule{})
		idle, busy := g.dial(), g.dial()
		idle.send(get("/"))
		idle.want(200, "hello /")
		busy.send(get("/slow"))
		<-started

		g.apply(config.Delta{Removed: []config.Ref{{Kind: config.KindListener, Name: "default/gw/http"}}})
		idle.wantClosed()
		g.wantRefused()
		release <- true
		if r := busy.want(200, "hello /slow"); !r.Close {
			g.Error("the last response of a listener that is gone does not say so")
		}
		busy.wantClosed()

		g.apply(config.Delta{Listeners: []*config.Listener{g.listener()}})
		c := g.dial()
		c.send(get("/again"))
		c.want(200, "hello /again")
	})
}

func TestAddressInUseIsReportedAndTriedAgain(t *testing.T) {
	onBoth(t, func(g *gateway) {
		taken, err := net.Listen("tcp", g.addr.String())
		if err != nil {
			g.Fatal(err)
		}
		defer taken.Close()
		d := &config.Delta{Version: 1, Listeners: []*config.Listener{g.listener()}}
		if err := g.engine.Apply(d).Listeners["default/gw/http"]; err == nil {
			g.Fatal("a listener whose address is in use is reported as served")
		}
		taken.Close()
		if err := g.engine.Apply(&config.Delta{Version: 2}).Listeners["default/gw/http"]; err != nil {
			g.Fatalf("the address is free again: %v", err)
		}
	})
}

// wantRefused waits until the gateway's address takes no connection any more.
func (g *gateway) wantRefused() {
	g.Helper()
	for {
		c, err := net.Dial("tcp", g.addr.String())
		if err != nil {
			return
		}
		c.SetDeadline(time.Now().Add(patience))
		c.Read(make([]byte, 1))
		c.Close()
	}
}

// shutdown begins a shutdown and returns a channel that tells of its end.
func (g *gateway) shutdown(minimum, limit time.Duration) chan time.Duration {
	done := make(chan time.Duration, 1)
	start := time.Now()
	go func() {
		g.engine.Shutdown(context.Background(), minimum, limit)
		done <- time.Since(start)
	}()
	return done
}

func TestDrain(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(slow(20*time.Second)), config.Rule{})
		idle, busy := g.dial(), g.dial()
		busy.send(get("/"))
		synctest.Wait()
		done := g.shutdown(10*time.Second, time.Minute)

		time.Sleep(5 * time.Second)
		late := g.dial() // is still accepted
		late.send(get("/"))
		time.Sleep(6 * time.Second)
		idle.wantClosed()
		if _, err := g.network.Dial(context.Background(), "tcp", g.addr.String()); err == nil {
			g.Error("connections are accepted after the minimum")
		}
		for _, c := range []*client{busy, late} {
			if r := c.want(200, "late"); !r.Close {
				g.Error("a response while draining does not say Connection: close")
			}
			c.wantClosed()
		}
		if took := <-done; took < 25*time.Second || took > 27*time.Second {
			g.Errorf("the drain took %v though the last request took 25 s", took)
		}
	})
}

func TestDrainEndsAtItsLimit(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(slow(time.Hour)), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		synctest.Wait()
		if took := <-g.shutdown(time.Second, 30*time.Second); took < 30*time.Second || took > 31*time.Second {
			g.Errorf("the drain took %v, the limit is 30 s", took)
		}
		c.wantClosed()
	})
}

func TestConnectionsArePerAddressLimited(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		for range 10_000 {
			g.dial()
		}
		synctest.Wait()
		g.dial().wantClosed()
	})
}

func TestGatewayAPI_BackendRefs_Weights(t *testing.T) {
	onBoth(t, func(g *gateway) {
		var mu sync.Mutex
		counts := map[string]int{}
		count := func(name string) netip.AddrPort {
			return g.origin(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				counts[name]++
			})
		}
		g.apply(config.Delta{
			Backends: []*config.Backend{backend("service/default/v1:80", count("v1")), backend("service/default/v2:80", count("v2")), backend("service/default/v3:80", count("v3"))},
			Routes: []*config.Route{route("httproute/default/split", config.Rule{
				Matches:  []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}},
				Backends: []config.BackendRef{{Backend: "service/default/v1:80", Weight: 90}, {Backend: "service/default/v2:80", Weight: 10}, {Backend: "service/default/v3:80", Weight: 0}},
			})},
		})
		for range 10 {
			c := g.dial() // lands on any worker
			for range 20 {
				c.send(get("/"))
				c.want(200, "")
			}
		}
		// 200 requests over 2 workers: each is exact over its own cycles.
		if counts["v3"] != 0 || counts["v1"] < 178 || counts["v1"] > 182 || counts["v1"]+counts["v2"] != 200 {
			g.Errorf("the split 90:10:0 gave %v", counts)
		}
	})
}

func TestMirrorsGetCopies(t *testing.T) {
	onBoth(t, func(g *gateway) {
		copies := make(chan string, 8)
		mirror := g.origin(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			copies <- r.Method + " " + r.URL.Path + " " + string(body)
		})
		g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/mirror:80", mirror)}})
		g.serve(g.origin(hello), config.Rule{Filters: config.Filters{Mirrors: []config.Mirror{
			{Backend: "service/default/mirror:80", Numerator: 1, Denominator: 1},
			{Backend: "service/default/absent:80", Numerator: 1, Denominator: 1},
		}}})
		c := g.dial()
		c.send("POST /m HTTP/1.1\nHost: a\nContent-Length: 4\n\nbody")
		c.want(200, "hello /m")
		if got := <-copies; got != "POST /m body" {
			g.Errorf("the mirror got %q", got)
		}
	})
}

func TestClientThatResetsEndsTheBackendsWork(t *testing.T) {
	onBoth(t, func(g *gateway) {
		started, ended := make(chan bool), make(chan bool)
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			started <- true
			r.ReadByte() // until the proxy gives up
			close(ended)
		}), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		<-started
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
		<-ended
	})
}

// Memory is bounded whatever the body's size: a slow side pushes back.
func TestSlowReaderHoldsTheBackendBack(t *testing.T) {
	inBubble(t, func(g *gateway) {
		var sent int64
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			sent, _ = io.Copy(w, io.LimitReader(zeros{}, 64<<20))
		}), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		r, err := http.ReadResponse(c.in, nil)
		if err != nil {
			g.Fatal(err)
		}
		synctest.Wait() // everybody waits: for this client
		if sent != 0 {
			g.Fatal("the whole body was taken from the backend while the client read nothing")
		}
		if n, err := io.Copy(io.Discard, r.Body); n != 64<<20 {
			g.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestIdleTunnelsEnd(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			for range 3 { // one direction alone keeps the tunnel
				time.Sleep(50 * time.Minute)
				io.WriteString(c, "ping\n")
			}
			r.ReadByte()
		}), config.Rule{})
		c := g.dial()
		start := time.Now()
		c.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"))
		c.response("GET")
		for range 3 {
			if line, err := c.in.ReadString('\n'); line != "ping\n" {
				g.Fatal(line, err)
			}
		}
		c.wantClosed()
		if took := time.Since(start); took < 210*time.Minute || took > 271*time.Minute {
			g.Errorf("the tunnel ended after %v, an hour of silence after its 150th minute was to come", took)
		}
	})
}

// A request may be on its way when the listener of its idle connection goes.
func TestRequestsThatCrossADrainAreServed(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send(get("/1"))
		c.want(200, "hello /1")
		g.apply(config.Delta{Removed: []config.Ref{{Kind: config.KindListener, Name: "default/gw/http"}}})
		c.send(get("/2"))
		r, _ := c.response("GET")
		if !r.Close {
			g.Error("the last response does not say so")
		}
		c.wantClosed()
	})
}

// A drain that begins within a response, too late for its Connection: close.
func TestKeptConnectionsServeOneMoreRequestInADrain(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Second)
		}), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		time.Sleep(5 * time.Second)
		done := g.shutdown(0, time.Minute)
		if r := c.want(200, ""); r.Close {
			g.Fatal("the response began before the drain")
		}
		c.send(get("/"))
		if r := c.want(200, ""); !r.Close {
			g.Error("the last response does not say so")
		}
		c.wantClosed()
		<-done
	})
}

// A backend that never answers its mirrored requests costs a bounded number of
// connections.
func TestMirrorsAreBounded(t *testing.T) {
	inBubble(t, func(g *gateway) {
		var open atomic.Int64
		mirror := g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			open.Add(1)
			io.Copy(io.Discard, r)
		})
		g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/mirror:80", mirror)}})
		g.serve(g.origin(hello), config.Rule{Filters: config.Filters{Mirrors: []config.Mirror{
			{Backend: "service/default/mirror:80", Numerator: 1, Denominator: 1},
		}}})
		c := g.dial()
		for range 1000 {
			c.send(get("/"))
			c.want(200, "hello /")
		}
		synctest.Wait()
		if n := open.Load(); n == 0 || n > 200 {
			g.Errorf("%d mirrored requests are under way", n)
		}
	})
}

// damaged is a network whose outgoing connections panic in the hands of a
// handler, once.
type damaged struct {
	loop.Network
	used atomic.Bool
}

type damagedConn struct {
	net.Conn
	network *damaged
}

func (n *damaged) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, network, address)
	return damagedConn{c, n}, err
}

func (c damagedConn) SetReadDeadline(t time.Time) error {
	if c.network.used.CompareAndSwap(false, true) {
		panic("damaged")
	}
	return c.Conn.SetReadDeadline(t)
}

// A panic costs the client's connection and the backend's, and nothing else.
func TestPanicsEndOneExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &damaged{Network: memnet.New()}
		g := newGateway(t, engine.Options{Workers: 1, Network: network, Log: slog.New(slog.DiscardHandler)})
		ended := make(chan bool, 1)
		first := true
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			if first {
				first = false
				r.ReadByte()
				ended <- true
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}), config.Rule{})
		client := func() *client { // from outside, that is undamaged
			c, err := network.Network.Dial(t.Context(), "tcp", g.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return &client{t, c, bufio.NewReader(c)}
		}
		c, start := client(), time.Now()
		c.send(get("/"))
		c.wantClosed()
		if <-ended; time.Since(start) > time.Minute {
			t.Error("the connection to the backend stayed open")
		}
		c = client()
		c.send(get("/"))
		c.want(200, "ok")
	})
}

// The limit cuts what is under way at any point of its life.
func TestDrainLimitCutsEverything(t *testing.T) {
	for name, request := range map[string]string{
		"head":     "GET / HTTP/1.1\nHo",
		"wait":     get("/"),
		"upload":   "POST / HTTP/1.1\nHost: a\nContent-Length: 99\n\nhalf",
		"expected": "POST / HTTP/1.1\nHost: a\nContent-Length: 99\nExpect: 100-continue\n\n",
		"tunnel":   handshake + "frames",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
					if strings.Contains(readHead(r), "Upgrade") {
						io.WriteString(c, switching)
					}
					io.Copy(io.Discard, r)
				}), config.Rule{})
				c := g.dial()
				c.send(request)
				synctest.Wait()
				if took := <-g.shutdown(0, 100*time.Millisecond); took > time.Second {
					g.Errorf("the shutdown took %v", took)
				}
				if n := g.engine.Connections(); n != 0 {
					g.Errorf("%d connections are left", n)
				}
			})
		})
	}
}
