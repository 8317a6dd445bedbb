package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

func TestBackendsThatCannotAnswer(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.freeAddr(), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		c.want(503, "503 Service Unavailable\n")
		g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/web:80")}})
		c.send(get("/"))
		c.want(503, "503 Service Unavailable\n")
		g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/web:80", g.origin(hello))}})
		c.send(get("/"))
		c.want(200, "hello /")
	})
}

func TestGatewayAPI_BackendRefs_InvalidAndZero(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{Backends: []config.BackendRef{{Weight: 1, Fault: &config.Fault{Status: 500, Reason: "BackendNotFound"}}}})
		c := g.dial()
		c.send(get("/"))
		c.want(500, "500 Internal Server Error\n")
		g.serve(g.origin(hello), config.Rule{Backends: []config.BackendRef{{Backend: "service/default/web:80"}}})
		c.send(get("/"))
		c.want(500, "500 Internal Server Error\n")
	})
}

func TestNoRouteIs404(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.apply(config.Delta{})
		c := g.dial()
		for range 2 {
			c.send(get("/"))
			c.want(404, "404 Not Found\n")
		}
	})
}

// An endpoint that refuses got nothing of the request, so another one may.
func TestRefusedConnectsGoToAnotherEndpoint(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		g.apply(config.Delta{Backends: []*config.Backend{backend("service/default/web:80", g.freeAddr(), g.origin(hello))}})
		c := g.dial()
		for range 4 {
			c.send("POST /x HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi")
			c.want(200, "hello /x")
		}
	})
}

// RFC 9110 section 9.2.2: what may not be repeated is not.
func TestBackendsThatCloseIdleConnections(t *testing.T) {
	onBoth(t, func(g *gateway) {
		var requests atomic.Int64
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			for n := 0; readHead(r) != ""; n++ {
				if n == 1 {
					return // after the second request has come, as if it had crossed the close
				}
				requests.Add(1)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}), config.Rule{})
		c := g.dial()
		for range 3 {
			c.send(get("/"))
			c.want(200, "ok")
		}
		if requests.Load() != 3 {
			g.Errorf("%d requests were answered", requests.Load())
		}
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n")
		c.want(502, "502 Bad Gateway\n")
	})
}

// flaky answers with 503 until the nth request.
func flaky(n int64) (http.HandlerFunc, *atomic.Int64) {
	var count atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if count.Add(1) < n {
			w.WriteHeader(503)
			return
		}
		fmt.Fprintf(w, "%s %s", r.Method, body)
	}, &count
}

func TestGEP1731_Retry(t *testing.T) {
	tests := []struct {
		name, request string
		retry         *config.Retry
		status        int
		requests      int64
	}{
		{"none", get("/"), nil, 503, 1},
		{"enough", get("/"), &config.Retry{Codes: []int{503}, Attempts: 2}, 200, 3},
		{"too few", get("/"), &config.Retry{Codes: []int{503}, Attempts: 1}, 503, 2},
		{"another code", get("/"), &config.Retry{Codes: []int{500}, Attempts: 2}, 503, 1},
		{"with a body", "PUT / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", &config.Retry{Codes: []int{503}, Attempts: 2}, 200, 3},
		{"with chunks", "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", &config.Retry{Codes: []int{503}, Attempts: 2}, 200, 3},
		{"not repeatable", "POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", &config.Retry{Codes: []int{503}, Attempts: 2}, 503, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				handler, count := flaky(3)
				g.serve(g.origin(handler), config.Rule{Retry: tt.retry})
				c := g.dial()
				c.send(tt.request)
				if r, _ := c.response("GET"); r.StatusCode != tt.status || count.Load() != tt.requests {
					g.Errorf("got %d after %d requests, want %d after %d", r.StatusCode, count.Load(), tt.status, tt.requests)
				}
			})
		})
	}
}

func TestGEP1731_BackoffIsTheLeastWait(t *testing.T) {
	inBubble(t, func(g *gateway) {
		handler, _ := flaky(3)
		g.serve(g.origin(handler), config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 2, Backoff: time.Second}})
		c := g.dial()
		start := time.Now()
		c.send(get("/"))
		c.want(200, "GET ")
		if took := time.Since(start); took < 2*time.Second {
			g.Errorf("two retries took %v", took)
		}
	})
}

func slow(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		io.WriteString(w, "late")
	}
}

func TestGEP1742_Timeouts(t *testing.T) {
	tests := []struct {
		name   string
		rule   config.Rule
		status int
		after  time.Duration
	}{
		{"none", config.Rule{}, 200, 20 * time.Second},
		{"request", config.Rule{Timeouts: config.Timeouts{Request: time.Second}}, 504, time.Second},
		{"backend request", config.Rule{Timeouts: config.Timeouts{BackendRequest: 2 * time.Second}}, 504, 2 * time.Second},
		{"the first of both", config.Rule{Timeouts: config.Timeouts{Request: 5 * time.Second, BackendRequest: 2 * time.Second}}, 504, 2 * time.Second},
		{"retries within the request's", config.Rule{
			Timeouts: config.Timeouts{Request: 5 * time.Second, BackendRequest: 2 * time.Second},
			Retry:    &config.Retry{Attempts: 9, Backoff: time.Millisecond},
		}, 504, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.serve(g.origin(slow(20*time.Second)), tt.rule)
				c := g.dial()
				start := time.Now()
				c.send(get("/"))
				r, _ := c.response("GET")
				if took := time.Since(start); r.StatusCode != tt.status || took < tt.after || took > tt.after+time.Second {
					g.Errorf("got %d after %v, want %d after %v", r.StatusCode, took, tt.status, tt.after)
				}
			})
		})
	}
}

func TestClientTimeouts(t *testing.T) {
	tests := []struct {
		name, sent string
		status     int // 0 is the end without an answer
		after      time.Duration
	}{
		{"no request", "", 0, 75 * time.Second},
		{"half a head", "GET / HTTP/1.1\nHo", 408, 10 * time.Second},
		{"half a body", "POST / HTTP/1.1\nHost: a\nContent-Length: 10\n\nhalf", 408, 60 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), config.Rule{})
				c := g.dial()
				start := time.Now()
				c.send(tt.sent)
				if tt.status != 0 {
					if r, _ := c.response("GET"); r.StatusCode != tt.status || !r.Close {
						g.Errorf("got %d", r.StatusCode)
					}
				}
				took := time.Since(start)
				c.wantClosed()
				if tt.status == 0 {
					took = time.Since(start)
				}
				if took < tt.after || took > tt.after+time.Second {
					g.Errorf("it took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// A client that sends its head byte by byte has no more time than any other.
func TestSlowHeads(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() {
			for _, b := range []byte(get("/")) {
				if _, err := c.Conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		start := time.Now()
		if r, _ := c.response("GET"); r.StatusCode != 408 || time.Since(start) > 11*time.Second {
			g.Errorf("got %d after %v", r.StatusCode, time.Since(start))
		}
	})
}
