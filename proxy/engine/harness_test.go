package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// gateway is an engine on real sockets, with one listener for any hostname.
type gateway struct {
	*testing.T
	engine  *engine.Engine
	addr    netip.AddrPort
	version uint64
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

func newGateway(t *testing.T, o engine.Options) *gateway {
	t.Helper()
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		e.Shutdown(ctx, 0, 0)
	})
	return &gateway{T: t, engine: e, addr: freeAddr(t)}
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// listener is the gateway's listener in the configuration.
func (g *gateway) listener() *config.Listener {
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
	s := httptest.NewServer(h)
	g.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// rawOrigin starts a backend that speaks for itself on each connection.
func (g *gateway) rawOrigin(serve func(c net.Conn, r *bufio.Reader)) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// client is a connection to the gateway with verbs.
type client struct {
	*testing.T
	net.Conn
	in *bufio.Reader
}

func (g *gateway) dial() *client {
	g.Helper()
	c, err := net.Dial("tcp", g.addr.String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{g.T, c, bufio.NewReader(c)}
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
