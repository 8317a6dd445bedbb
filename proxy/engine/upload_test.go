package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy"
)

// RFC 9112 section 6: a head that states a body is never sent without it, so
// what was not kept is not sent again.
func TestBodiesThatWereNotKeptAreNotSentAgain(t *testing.T) {
	large := strings.Repeat("x", proxy.DefaultLimits.ReplayBytes+1)
	for name, request := range map[string]string{
		"counted": fmt.Sprintf("PUT / HTTP/1.1\nHost: a\nContent-Length: %d\n\n%s", len(large), large),
		"chunked": fmt.Sprintf("PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n%x\n%s\n0\n\n", len(large), large),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				handler, count := flaky(2)
				g.serve(g.origin(handler), config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 3}})
				c := g.dial()
				c.send(request)
				if r, _ := c.response("PUT"); r.StatusCode != 503 || count.Load() != 1 {
					g.Errorf("got %d after %d requests", r.StatusCode, count.Load())
				}
			})
		})
	}
}

// unfinished answers the first request of each connection in two parts, with a
// pause between them, and notes any byte that comes behind the request's head.
func unfinished(pause time.Duration, followed *atomic.Bool) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
		time.Sleep(pause)
		io.WriteString(c, "cd")
		if _, err := r.ReadByte(); err == nil {
			followed.Store(true)
		}
	}
}

// RFC 9112 section 9.3: where a body was announced and not sent, the next
// request would be taken for it.
func TestConnectionsThatWaitForABodyAreNotUsedAgain(t *testing.T) {
	inBubble(t, func(g *gateway) {
		var followed atomic.Bool
		g.serve(g.rawOrigin(unfinished(3*time.Second, &followed)), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n")
		c.want(200, "abcd")
		for range 2 { // one for each worker, which have pools of their own
			c = g.dial()
			c.send(get("/"))
			c.response("GET")
		}
		if followed.Load() {
			g.Error("a request was sent where the backend expects a body")
		}
	})
}

// A backend that does not know Expect waits for the body (RFC 9110 section 10.1.1).
func TestRFC9110_10_1_1_ContinueComesAfterAWhile(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			body := make([]byte, 4)
			io.ReadFull(r, body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
		}), config.Rule{})
		c := g.dial()
		start := time.Now()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n")
		if r, _ := c.response("POST"); r.StatusCode != 100 || time.Since(start) < proxy.DefaultLimits.ContinueWait {
			g.Fatalf("got %d after %v", r.StatusCode, time.Since(start))
		}
		c.send("body")
		c.want(200, "body")
	})
}

// RFC 9110 section 15.2.1: a client that did not ask gets no 100.
func TestRFC9110_15_2_1_UnaskedContinueIsDropped(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", false)
		c := g.dial()
		c.send(get("/"))
		c.want(200, "ok")
	})
}

// RFC 9110 section 15.2: HTTP/1.0 has no interim responses.
func TestRFC9110_15_2_NoInterimResponsesToHTTP10(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", false)
		c := g.dial()
		c.send("GET / HTTP/1.0\nHost: a\n\n")
		c.want(200, "ok")
	})
}

// Large bodies take another way through the kernel; a client that ends its
// stream in one is answered as for a small one.
func TestRFC9112_8_TruncatedRequests(t *testing.T) {
	for name, sent := range map[string]int{"small": 10, "large": 300_000} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), config.Rule{})
				c := g.dial()
				c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: a\nContent-Length: 1000000\n\n%s", strings.Repeat("x", sent)))
				c.Conn.(*net.TCPConn).CloseWrite()
				if r, _ := c.response("POST"); r.StatusCode != 400 || !r.Close {
					g.Errorf("got %d, close %v", r.StatusCode, r.Close)
				}
			})
		})
	}
}

// A backend that takes no bytes holds the client back: what is between them is bounded.
func TestSlowBackendHoldsTheUploadBack(t *testing.T) {
	inBubble(t, func(g *gateway) {
		const size = 64 << 20
		release := make(chan bool)
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			<-release
			n, _ := io.Copy(io.Discard, io.LimitReader(r, size))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%d", n)
		}), config.Rule{})
		c := g.dial()
		c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: a\nContent-Length: %d\n\n", size))
		var sent atomic.Int64
		done := make(chan error, 1)
		go func() {
			for sent.Load() < size {
				n, err := c.Conn.Write(make([]byte, 64<<10))
				if sent.Add(int64(n)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		time.Sleep(time.Second)
		if n := sent.Load(); n > 4<<20 {
			g.Errorf("the proxy took %d bytes that the backend did not", n)
		}
		close(release)
		c.want(200, fmt.Sprint(size))
		if err := <-done; err != nil {
			g.Error(err)
		}
	})
}

// The wait for a response begins when the request has been sent.
func TestUploadsMayTakeLongerThanABackendMayBeSilent(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			time.Sleep(proxy.DefaultLimits.UpstreamIdle - time.Second)
			fmt.Fprint(w, n)
		}), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 20\n\n")
		for range 20 {
			time.Sleep(30 * time.Second)
			c.send("x")
		}
		c.want(200, "20")
	})
}

// The rule's timeout is an answer of the gateway's, whoever was slow.
func TestGEP1742_RequestTimeoutWhileTheClientSends(t *testing.T) {
	for name, retry := range map[string]*config.Retry{"streamed": nil, "kept": {Attempts: 1}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }),
					config.Rule{Timeouts: config.Timeouts{Request: 3 * time.Second}, Retry: retry})
				c := g.dial()
				c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 20\n\nhalf")
				if r, _ := c.response("POST"); r.StatusCode != 504 || !r.Close {
					g.Errorf("got %d, close %v", r.StatusCode, r.Close)
				}
			})
		})
	}
}

// RFC 9112 section 9.6: what the client still sends must not destroy the answer
// on its way, however much it is.
func TestRFC9112_9_6_AnswersOutliveUnreadBodies(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.apply(config.Delta{})
		c := g.dial()
		go c.Conn.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("x", 9_000_000)))
		time.Sleep(proxy.DefaultLimits.LingerTime / 2)
		c.want(404, "404 Not Found\n")
		c.wantClosed()
	})
}
