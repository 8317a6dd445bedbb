package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// gateway is an engine with one listener for any hostname.
type gateway struct {
	testing.TB
	engine  *engine.Engine
	network loop.Network
	addr    netip.AddrPort
	version uint64
	// certificates make the listener an HTTPS one.
	certificates []config.Certificate
	// client is what is said of the listener's clients.
	client *config.ClientSettings
}

// onBoth runs a test on both kinds of loops.
func onBoth(t *testing.T, fn func(g *gateway)) {
	t.Helper()
	for _, kind := range []string{"epoll", "portable"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			fn(newGateway(t, engine.Options{Portable: kind == "portable", Workers: 2}))
		})
	}
}

// inBubble runs a test with fake time, over a network in memory.
func inBubble(t *testing.T, fn func(g *gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fn(newGateway(t, engine.Options{Workers: 2, Network: memnet.New()}))
	})
}

func newGateway(t testing.TB, o engine.Options) *gateway {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(alarm{t}, nil))
	}
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		e.Shutdown(ctx, 0, 0)
	})
	g := &gateway{TB: t, engine: e, network: o.Network}
	if g.network == nil {
		g.network = loop.HostNetwork{}
	}
	g.addr = g.freeAddr()
	return g
}

// freeAddr is an address that nobody listens on. Its port is below those that
// systems give to clients and to port 0: they could take it before it is used.
func (g *gateway) freeAddr() netip.AddrPort {
	g.Helper()
	for range 1000 {
		addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(10_000+rand.IntN(10_000)))
		if l, err := g.network.Listen(addr); err == nil {
			l.Close()
			return addr
		}
	}
	g.Fatal("no port is free")
	return netip.AddrPort{}
}

// alarm fails a test whose gateway logs a panic.
type alarm struct{ testing.TB }

func (a alarm) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "panic") {
		a.Errorf("%s", line)
	}
	return len(line), nil
}

// listen listens on a free port of 127.0.0.1.
func (g *gateway) listen() net.Listener {
	g.Helper()
	l, err := g.network.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		g.Fatal(err)
	}
	return l
}

// listener is the gateway's listener in the configuration.
func (g *gateway) listener() *config.Listener {
	if len(g.certificates) > 0 {
		l := g.https("default/gw/http", "", g.certificates...)
		l.Client = g.client
		return l
	}
	return &config.Listener{Name: "default/gw/http", Addresses: []netip.Addr{g.addr.Addr()}, Port: g.addr.Port(), Protocol: config.ProtocolHTTP}
}

// apply puts a delta in force, together with the listener.
func (g *gateway) apply(d config.Delta) {
	g.Helper()
	g.version++
	d.Version = g.version
	if g.version == 1 {
		d.Listeners = append(d.Listeners, g.listener())
	}
	report := g.engine.Apply(&d)
	if report.Version != d.Version {
		g.Fatalf("version %d is in force, not %d", report.Version, d.Version)
	}
	for name, err := range report.Listeners {
		if err != nil {
			g.Fatalf("listener %s: %v", name, err)
		}
	}
}

// serve routes everything to one endpoint by the rule, whose matches and
// backends are filled in.
func (g *gateway) serve(origin netip.AddrPort, rule config.Rule) {
	g.Helper()
	rule.Matches = []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}}
	if rule.Backends == nil {
		rule.Backends = []config.BackendRef{{Backend: "service/default/web:80", Weight: 1}}
	}
	g.apply(config.Delta{
		Routes:   []*config.Route{route("httproute/default/web", rule)},
		Backends: []*config.Backend{backend("service/default/web:80", origin)},
	})
}

func route(name string, rules ...config.Rule) *config.Route {
	return &config.Route{Name: name, Attachments: []config.Attachment{{Listener: "default/gw/http", Hostnames: []string{""}}}, Rules: rules}
}

func backend(name string, addrs ...netip.AddrPort) *config.Backend {
	b := &config.Backend{Name: name, Protocol: config.AppHTTP}
	for _, a := range addrs {
		b.Endpoints = append(b.Endpoints, config.Endpoint{Address: a, Ready: true, Serving: true})
	}
	return b
}

// origin starts a backend that net/http serves.
func (g *gateway) origin(h http.HandlerFunc) netip.AddrPort {
	l := g.listen()
	var serving sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		h(w, r)
	})}
	serving.Go(func() { server.Serve(l) })
	g.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// rawOrigin starts a backend that speaks for itself on each connection.
func (g *gateway) rawOrigin(serve func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	l := g.listen()
	ctx, cancel := context.WithCancel(context.Background())
	g.Cleanup(cancel)
	g.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// patience ends a test that hangs. It is longer than all of the proxy's own times.
const patience = 48 * time.Hour

// client is a connection to the gateway with verbs.
type client struct {
	testing.TB
	net.Conn
	in *bufio.Reader
}

func (g *gateway) dial() *client {
	g.Helper()
	c, err := g.network.Dial(g.Context(), "tcp", g.addr.String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{g.TB, c, bufio.NewReader(c)}
}

// send writes text, in which each line end stands for CRLF.
func (c *client) send(text string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		c.Fatalf("writing: %v", err)
	}
}

// response reads one response to a request of the method, and its whole body.
func (c *client) response(method string) (*http.Response, string) {
	c.Helper()
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.Fatalf("reading a response: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Fatalf("reading the body of a response: %v", err)
	}
	return r, string(body)
}

// want reads one response to a GET and checks its status and body.
func (c *client) want(status int, body string) *http.Response {
	c.Helper()
	r, got := c.response("GET")
	if r.StatusCode != status || got != body {
		c.Fatalf("got %d %q, want %d %q", r.StatusCode, got, status, body)
	}
	return r
}

// wantClosed checks that the gateway has ended the connection.
func (c *client) wantClosed() {
	c.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		c.Fatalf("got byte %q, want the end of the connection", b)
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		c.Fatal("the connection stays open")
	}
}

// get is "GET path" for host web.example.
func get(path string, fields ...string) string {
	head := fmt.Sprintf("GET %s HTTP/1.1\nHost: web.example\n", path)
	for _, f := range fields {
		head += f + "\n"
	}
	return head + "\n"
}
