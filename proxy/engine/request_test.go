package engine_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// seen serves an origin that keeps the heads of requests. The function sends a
// request and returns the head that arrived.
func (g *gateway) seen() func(string) string {
	heads := make(chan string, 16)
	g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
		for {
			head := readHead(r)
			if head == "" {
				return
			}
			heads <- head
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}), config.Rule{})
	return func(request string) string {
		g.Helper()
		c := g.dial()
		c.send(request)
		c.want(200, "")
		return <-heads
	}
}

// readHead reads a message's head, with LF for CRLF; empty at the end.
func readHead(r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			return head.String()
		}
		head.WriteString(line + "\n")
	}
}

func wantLines(t testing.TB, head string, present []string, absent []string) {
	t.Helper()
	for _, line := range present {
		if !strings.Contains(head, line+"\n") {
			t.Errorf("no line %q in:\n%s", line, head)
		}
	}
	for _, part := range absent {
		if strings.Contains(strings.ToLower(head), strings.ToLower(part)) {
			t.Errorf("%q is in:\n%s", part, head)
		}
	}
}

func TestRFC9110_7_6_1_HopByHopFieldsStay(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		head := ask("GET /a?b HTTP/1.1\nHost: Web.Example:80\nConnection: x-secret\nX-Secret: 1\nKeep-Alive: timeout=1\nProxy-Connection: close\nTE: trailers\nUpgrade: h2c\nHTTP2-Settings: AA\nX-Kept: yes\n\n")
		wantLines(g.TB, head, []string{"GET /a?b HTTP/1.1", "Host: Web.Example:80", "X-Kept: yes"},
			[]string{"x-secret", "keep-alive", "proxy-connection", "h2c"})
	})
}

func TestRFC9110_7_6_3_ViaIsAppended(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		wantLines(g.TB, ask(get("/", "Via: 1.1 front")), []string{"Via: 1.1 front", "Via: 1.1 sluice"}, nil)
		wantLines(g.TB, ask("GET / HTTP/1.0\nHost: a\n\n"), []string{"Via: 1.0 sluice", "GET / HTTP/1.1"}, nil)
	})
}

func TestForwardedFieldsTellWhatTheProxySaw(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		head := ask(get("/", "X-Forwarded-For: 1.2.3.4", "x-forwarded-host: bank.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1",
			"Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Request-Id: mine"))
		wantLines(g.TB, head, []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: web.example", "X-Forwarded-Proto: http"},
			[]string{"1.2.3.4", "bank", "https", "mine"})
		if !strings.Contains(head, "X-Request-Id: ") {
			g.Error("there is no request id")
		}
	})
}

func TestRFC9112_3_2_2_AbsoluteForm(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		wantLines(g.TB, ask("GET http://web.example/x?y HTTP/1.1\nHost: web.example\n\n"), []string{"GET /x?y HTTP/1.1", "Host: web.example"}, nil)
	})
}

func TestHalfClosedClientGetsItsResponse(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send(get("/half"))
		c.Conn.(*net.TCPConn).CloseWrite()
		c.want(200, "hello /half")
		c.wantClosed()
	})
}

func TestRFC9112_9_3_HTTP10(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
		}), config.Rule{})
		c := g.dial()
		c.send("GET / HTTP/1.0\n\n")
		if r := c.want(200, "part"); len(r.TransferEncoding) > 0 {
			g.Error("an HTTP/1.0 client got chunks")
		}
		c.wantClosed()
	})
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		for range 2 {
			c.send("GET / HTTP/1.0\nConnection: keep-alive\n\n")
			if r := c.want(200, "hello /"); r.Header.Get("Connection") != "keep-alive" {
				g.Errorf("Connection: %q", r.Header.Get("Connection"))
			}
		}
	})
}

func TestMalformedRequestsAreRefusedAndEndTheConnection(t *testing.T) {
	requests := map[string]struct {
		request string
		status  int
	}{
		"SMUG-CL-TE-BOTH":             {"POST / HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n\n", 400},
		"SMUG-DUPLICATE-CL":           {"POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1\n\nx", 400},
		"RFC9112_6_1 unknown coding":  {"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\n\n", 501},
		"RFC9112_3_2 no Host":         {"GET / HTTP/1.1\n\n", 400},
		"RFC9112_5_1 space and colon": {"GET / HTTP/1.1\nHost: a\nX : 1\n\n", 400},
		"RFC9110_2_5 version":         {"GET / HTTP/2.0\nHost: a\n\n", 505},
		"RFC9110_10_1_1 expectation":  {"GET / HTTP/1.1\nHost: a\nExpect: more\n\n", 417},
		"RFC9112_3 target too long":   {"GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1\nHost: a\n\n", 414},
		"RFC6585_5 too many fields":   {"GET / HTTP/1.1\nHost: a\n" + strings.Repeat("X: y\n", 200) + "\n", 431},
		"CONNECT":                     {"CONNECT a:443 HTTP/1.1\nHost: a:443\n\n", 501},
		"chunk size":                  {"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nxyz\n", 400},
	}
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), config.Rule{})
		for name, tt := range requests {
			g.TB.(*testing.T).Run(name, func(t *testing.T) {
				c := g.dial()
				c.TB = t
				c.send(tt.request)
				if r, _ := c.response("GET"); r.StatusCode != tt.status || !r.Close {
					t.Errorf("got %d, close %v; want %d and the end", r.StatusCode, r.Close, tt.status)
				}
				c.wantClosed()
			})
		}
	})
}

func TestRFC9110_10_1_1_ExpectContinue(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n")
		if r, _ := c.response("POST"); r.StatusCode != 100 {
			g.Fatalf("got %d before the body was sent", r.StatusCode)
		}
		c.send("body")
		c.want(200, "body")
	})
}

func TestRFC9110_10_1_1_ExpectRefused(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) }), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n")
		if r := c.want(413, ""); !r.Close {
			g.Error("the connection stays open though the body's bytes may follow")
		}
	})
}

func TestEarlyResponseWhileTheBodyUploads(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			readHead(r)
			io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			io.Copy(io.Discard, r)
		}), config.Rule{})
		c := g.dial()
		c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 1000000\n\nbegin")
		if r := c.want(403, "no"); !r.Close {
			g.Error("the connection stays open in the middle of a body")
		}
	})
}

// RFC 9110 section 7.6.2: where no forwarding is left, the gateway answers.
func TestRFC9110_7_6_2_MaxForwards(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		request := func(method, value string) string {
			return method + " / HTTP/1.1\nHost: a\nMax-Forwards: " + value + "\n\n"
		}
		wantLines(g.TB, ask(request("OPTIONS", "5")), []string{"Max-Forwards: 4"}, nil)
		wantLines(g.TB, ask(request("TRACE", "1")), []string{"Max-Forwards: 0"}, nil)
		wantLines(g.TB, ask(request("GET", "0")), []string{"Max-Forwards: 0"}, nil)
		wantLines(g.TB, ask(request("OPTIONS", "many")), []string{"Max-Forwards: many"}, nil)
		for method, status := range map[string]int{"OPTIONS": 204, "TRACE": 501} {
			c := g.dial()
			c.send(request(method, "0"))
			if r, _ := c.response(method); r.StatusCode != status {
				g.Errorf("%s that ends here got %d, want %d", method, r.StatusCode, status)
			}
		}
	})
}

func TestRFC9110_9_3_7_OptionsOfTheServer(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		wantLines(g.TB, ask("OPTIONS * HTTP/1.1\nHost: a\n\n"), []string{"OPTIONS * HTTP/1.1"}, nil)
	})
}

// RFC 9110 section 9.1: methods that the gateway does not know pass.
func TestRFC9110_9_1_UnknownMethods(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		wantLines(g.TB, ask("BREW /pot HTTP/1.1\nHost: a\n\n"), []string{"BREW /pot HTTP/1.1"}, []string{"Content-Length"})
	})
}

// A request without a host has none to tell of.
func TestRFC9112_3_2_HTTP10WithoutHost(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.seen()
		wantLines(g.TB, ask("GET / HTTP/1.0\n\n"), []string{"Host: "}, []string{"X-Forwarded-Host"})
	})
}

// What a proxy in front says counts if its address is trusted.
func TestForwardedFieldsOfTrustedProxies(t *testing.T) {
	for _, kind := range []string{"epoll", "portable"} {
		t.Run(kind, func(t *testing.T) {
			g := newGateway(t, engine.Options{Portable: kind == "portable", Workers: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
			ask := g.seen()
			head := ask(get("/", "X-Forwarded-For: 1.2.3.4", "x-forwarded-for: 5.6.7.8", "X-Forwarded-Host: shop.example",
				"X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Request-Id: mine"))
			wantLines(t, head, []string{"X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1", "X-Forwarded-Host: shop.example",
				"X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Request-Id: mine"}, []string{"web.example, "})
			head = ask(get("/", "X-Request-Id:", "X_Forwarded_For: 9.9.9.9"))
			wantLines(t, head, []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: web.example"}, []string{"X-Request-Id: \n", "9.9.9.9"})
		})
	}
}
