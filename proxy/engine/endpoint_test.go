package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// names resolves from a table.
type names map[string]netip.Addr

func (n names) Resolve(_ context.Context, host string) (upstream.Answer, error) {
	if a, ok := n[host]; ok {
		return upstream.Answer{Addrs: []netip.Addr{a}, TTL: time.Minute}, nil
	}
	return upstream.Answer{}, fmt.Errorf("no such name: %s", host)
}

func TestEndpointsWithNamesAndUnixSockets(t *testing.T) {
	for _, kind := range []string{"epoll", "portable"} {
		t.Run(kind, func(t *testing.T) {
			g := newGateway(t, engine.Options{Portable: kind == "portable", Workers: 2, Resolver: names{"web.internal": netip.MustParseAddr("127.0.0.1")}})
			origin := g.origin(hello)
			path := filepath.Join(t.TempDir(), "web.sock")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(hello)}
			go server.Serve(l)
			defer server.Close()
			g.serve(origin, config.Rule{})
			for name, endpoint := range map[string]config.Endpoint{
				"/name": {Host: "web.internal", Port: origin.Port(), Ready: true},
				"/unix": {Unix: path, Ready: true},
			} {
				g.apply(config.Delta{Backends: []*config.Backend{{Name: "service/default/web:80", Protocol: config.AppHTTP, Endpoints: []config.Endpoint{endpoint}}}})
				c := g.dial()
				for range 2 { // over one connection to the backend, if that is kept
					c.send(get(name))
					c.want(200, "hello "+name)
				}
			}
		})
	}
}

// broken answers only from the nth connection on; before, it ends them its way.
func broken(n int64, end func(c net.Conn)) (func(net.Conn, *bufio.Reader), *atomic.Int64) {
	var connections atomic.Int64
	return func(c net.Conn, r *bufio.Reader) {
		first := connections.Add(1) < n
		if readHead(r) == "" {
			return
		}
		if first {
			end(c)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}, &connections
}

// Connection errors are retried by a rule without codes too, where the request
// may be repeated and no byte of an answer has come.
func TestGEP1731_RetryOfConnectionErrors(t *testing.T) {
	closes := func(net.Conn) {}
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	begins := func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le") }
	twice := &config.Retry{Attempts: 2}
	tests := []struct {
		name, method string
		end          func(net.Conn)
		retry        *config.Retry
		timeout      time.Duration // of one try
		status       int
		connections  int64
	}{
		{"closed", "GET", closes, twice, 0, 200, 3},
		{"closed, no rule", "GET", closes, nil, 0, 502, 1},
		{"closed, too few", "GET", closes, &config.Retry{Attempts: 1}, 0, 502, 2},
		{"closed, not repeatable", "POST", closes, twice, 0, 502, 1},
		{"closed after it began", "GET", begins, twice, 0, 502, 1},
		{"a try takes too long", "GET", silent, twice, time.Second, 200, 3},
		{"a try takes too long, not repeatable", "POST", silent, twice, time.Second, 504, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				serve, connections := broken(3, tt.end)
				g.serve(g.rawOrigin(serve), config.Rule{Retry: tt.retry, Timeouts: config.Timeouts{BackendRequest: tt.timeout}})
				c := g.dial()
				c.send(tt.method + " / HTTP/1.1\nHost: a\nContent-Length: 0\n\n")
				if r, _ := c.response(tt.method); r.StatusCode != tt.status || connections.Load() != tt.connections {
					g.Errorf("got %d over %d connections, want %d over %d", r.StatusCode, connections.Load(), tt.status, tt.connections)
				}
			})
		})
	}
}

// What went wrong, the client learns as a status and the log as a word.
func TestFailuresAreNamed(t *testing.T) {
	says := func(text string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, text)
		}
	}
	silent := func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }
	var end context.Context
	deaf := func(net.Conn, *bufio.Reader) { <-end.Done() }
	const large = "Content-Length: 10000000"
	tests := []struct {
		word    string
		origin  func(net.Conn, *bufio.Reader) // nil: nobody listens
		rule    config.Rule
		request string
		status  int
	}{
		{"upstream_connect_refused", nil, config.Rule{}, get("/"), 503},
		{"upstream_closed", says(""), config.Rule{}, get("/"), 502},
		{"upstream_malformed", says("nonsense\r\n\r\n"), config.Rule{}, get("/"), 502},
		{"upstream_timeout", silent, config.Rule{}, get("/"), 504},
		{"upstream_timeout", silent, config.Rule{Timeouts: config.Timeouts{BackendRequest: time.Second}}, get("/"), 504},
		{"request_timeout", silent, config.Rule{Timeouts: config.Timeouts{Request: time.Second}}, get("/"), 504},
		{"upstream_write_timeout", deaf, config.Rule{},
			"POST / HTTP/1.1\nHost: a\n" + large + "\n\n" + strings.Repeat("x", 10_000_000), 504},
		{"upstream_resolve_failed", nil, config.Rule{Backends: []config.BackendRef{{Backend: "backend/default/named", Weight: 1}}}, get("/"), 503},
		{"no_endpoints", nil, config.Rule{Backends: []config.BackendRef{{Backend: "service/default/empty:80", Weight: 1}}}, get("/"), 503},
		{"no_backend", nil, config.Rule{Backends: []config.BackendRef{}}, get("/"), 500},
		{"backend_invalid", nil, config.Rule{Backends: []config.BackendRef{{Weight: 1, Fault: &config.Fault{Status: 500}}}}, get("/"), 500},
		{"rule_invalid", nil, config.Rule{Fault: &config.Fault{Status: 500}}, get("/"), 500},
		{"client_timeout", silent, config.Rule{}, "POST / HTTP/1.1\nHost: a\nContent-Length: 9\n\nhalf", 408},
		{"client_malformed", nil, config.Rule{}, "GET / HTTP/1.1\n\n", 400},
		{"client_timeout", nil, config.Rule{}, "GET / HT", 408},
		{"client_malformed_body", silent, config.Rule{}, "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nnone\n", 400},
	}
	for _, tt := range tests {
		t.Run(tt.word, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				end = t.Context()
				log := observe.NewAccessLog(&out, observe.Text, 1)
				g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Resolver: names{}, AccessLog: log})
				origin := g.freeAddr()
				if tt.origin != nil {
					origin = g.rawOrigin(tt.origin)
				}
				g.serve(origin, tt.rule)
				g.apply(config.Delta{Backends: []*config.Backend{{Name: "backend/default/named", Protocol: config.AppHTTP,
					Endpoints: []config.Endpoint{{Host: "nowhere.internal", Port: 80, Ready: true}}}}})
				c := g.dial()
				go c.Conn.Write([]byte(strings.ReplaceAll(tt.request, "\n", "\r\n")))
				r, _ := c.response("GET")
				c.Close()
				synctest.Wait()
				log.Close()
				if r.StatusCode != tt.status || !strings.Contains(out.String(), tt.word) {
					t.Errorf("got %d, want %d %s in the log: %s", r.StatusCode, tt.status, tt.word, out.String())
				}
			})
		})
	}
}

// Who cut a response short is named also where its body went through the kernel.
func TestWhoCutAResponseShort(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
	for _, kind := range []string{"epoll", "portable"} {
		for word, origin := range map[string]func(net.Conn, *bufio.Reader){
			"upstream_closed": func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				io.WriteString(c, head+strings.Repeat("x", 500_000))
			},
			"client_reset": func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				io.WriteString(c, head)
				io.Copy(c, zeros{})
			},
		} {
			t.Run(kind+"/"+word, func(t *testing.T) {
				var out strings.Builder
				log := observe.NewAccessLog(&out, observe.Text, 1)
				g := newGateway(t, engine.Options{Portable: kind == "portable", Workers: 1, AccessLog: log})
				g.serve(g.rawOrigin(origin), config.Rule{})
				c := g.dial()
				c.send(get("/"))
				io.CopyN(io.Discard, c.in, 400_000) // or until the reset
				if word == "client_reset" {
					c.Conn.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
				for g.engine.Connections() > 0 {
					io.Copy(io.Discard, c.in)
				}
				log.Close()
				if !strings.Contains(out.String(), word) {
					t.Errorf("no %s in the log: %s", word, out.String())
				}
			})
		}
	}
}
