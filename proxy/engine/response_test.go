package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// answers serves an origin that answers each request with the text, in which a
// line end stands for CRLF, and closes if the text ends the connection.
func (g *gateway) answers(text string, closes bool) {
	g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
		for readHead(r) != "" {
			io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
			if closes {
				return
			}
		}
	}), config.Rule{})
}

func TestRFC9112_6_3_ResponsesThatTheEndOfTheConnectionEnds(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 OK\n\nuntil the end", true)
		c := g.dial()
		for range 2 { // the client's connection lives on
			c.send(get("/"))
			if r := c.want(200, "until the end"); len(r.TransferEncoding) == 0 {
				g.Error("the client cannot tell where the body ends")
			}
		}
	})
}

func TestRFC9110_15_2_InterimResponsesPass(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 103 Early Hints\nLink: </style.css>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", false)
		c := g.dial()
		c.send(get("/"))
		if r, _ := c.response("GET"); r.StatusCode != 103 || r.Header.Get("Link") == "" {
			g.Errorf("got %d %v first", r.StatusCode, r.Header)
		}
		c.want(200, "ok")
	})
}

func TestInterimResponsesAreBounded(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers(strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 20)+"HTTP/1.1 200 OK\nContent-Length: 0\n\n", false)
		c := g.dial()
		c.send(get("/"))
		for {
			r, _ := c.response("GET")
			if r.StatusCode == 103 {
				continue
			}
			if r.StatusCode != 502 {
				g.Errorf("got %d", r.StatusCode)
			}
			return
		}
	})
}

func TestRFC9110_15_3_5_ResponsesWithoutBody(t *testing.T) {
	for _, status := range []string{"204 No Content", "304 Not Modified"} {
		onBoth(t, func(g *gateway) {
			g.answers("HTTP/1.1 "+status+"\nEtag: \"a\"\n\n", false)
			c := g.dial()
			for range 2 {
				c.send(get("/"))
				if r, body := c.response("GET"); r.Status != status || body != "" || r.Header.Get("Etag") != `"a"` {
					g.Errorf("got %s %q", r.Status, body)
				}
			}
		})
	}
}

func TestRFC9110_6_5_TrailersPass(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: Checksum\n\n2\nok\n0\nChecksum: 1\nContent-Length: 9\n\n", false)
		c := g.dial()
		c.send(get("/", "TE: trailers"))
		r, _ := c.response("GET")
		if r.Trailer.Get("Checksum") != "1" || r.Trailer.Get("Content-Length") != "" {
			g.Errorf("trailers %v", r.Trailer)
		}
	})
}

func TestRFC9110_6_6_1_DateIsAdded(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 OK\nContent-Length: 0\n\n", false)
		c := g.dial()
		c.send(get("/"))
		if _, err := http.ParseTime(c.want(200, "").Header.Get("Date")); err != nil {
			g.Error(err)
		}
	})
}

func TestMalformedResponsesAre502(t *testing.T) {
	for name, text := range map[string]string{
		"two framings":  "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\nok",
		"two lengths":   "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok",
		"no status":     "hello\n\n",
		"space":         "HTTP/1.1 200 OK\nContent-Length : 2\n\nok",
		"nothing":       "",
		"half a head":   "HTTP/1.1 200 OK\nContent-Le",
		"unasked 101":   "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n",
		"endless lines": "HTTP/1.1 200 OK\n" + strings.Repeat("X: y\n", 500) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				g.answers(text, true)
				c := g.dial()
				c.send(get("/"))
				c.want(502, "502 Bad Gateway\n")
				c.send(get("/")) // and the client's connection is none the worse
				c.want(502, "502 Bad Gateway\n")
			})
		})
	}
}

// A response that ends too early must not look whole.
func TestRFC9112_8_TruncatedResponses(t *testing.T) {
	for name, text := range map[string]string{
		"counted": "HTTP/1.1 200 OK\nContent-Length: 10\n\nhalf",
		"chunked": "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n",
		"damaged": "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\nzz\n",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				g.answers(text, true)
				c := g.dial()
				c.send(get("/"))
				r, err := http.ReadResponse(c.in, nil)
				if err != nil {
					return // the reset overtook the head
				}
				if body, err := io.ReadAll(r.Body); err == nil {
					g.Errorf("the body %q looks whole", body)
				}
			})
		})
	}
}

// Bytes behind a response would answer the next request.
func TestPoisonedConnectionsAreNotUsedAgain(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 4\n\nevil", false)
		c := g.dial()
		for range 3 {
			c.send(get("/"))
			c.want(200, "ok")
		}
	})
}

// RFC 9110 section 7.8: Upgrade concerns one connection; only the answer to a
// missing upgrade has to name one.
func TestRFC9110_7_8_OffersOfUpgradesStay(t *testing.T) {
	for status, want := range map[string]string{"200 OK": "", "426 Upgrade Required": "websocket"} {
		t.Run(status, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				g.answers("HTTP/1.1 "+status+"\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 2\n\nok", false)
				c := g.dial()
				c.send(get("/"))
				if r, _ := c.response("GET"); r.Header.Get("Upgrade") != want {
					g.Errorf("Upgrade: %q", r.Header.Get("Upgrade"))
				}
			})
		})
	}
}

func TestRFC9112_4_EmptyReason(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 \nContent-Length: 2\n\nok", false)
		c := g.dial()
		c.send(get("/"))
		c.want(200, "ok")
	})
}

// RFC 9110 section 8.6: a body where none may be makes the connection useless,
// and never becomes a response.
func TestRFC9112_6_3_BodiesOfResponsesWithoutBody(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.answers("HTTP/1.1 200 OK\nContent-Length: 4\n\nevil", false)
		c := g.dial()
		for range 2 {
			c.send("HEAD / HTTP/1.1\nHost: a\n\n")
			if r, _ := c.response("HEAD"); r.StatusCode != 200 || r.ContentLength != 4 {
				g.Errorf("got %d, length %d", r.StatusCode, r.ContentLength)
			}
		}
		g.answers("HTTP/1.1 204 No Content\nContent-Length: 4\n\nevil", false)
		c.send(get("/"))
		c.want(502, "502 Bad Gateway\n")
		g.answers("HTTP/1.1 304 Not Modified\nContent-Length: 4\n\nevil", false)
		for range 2 {
			c.send(get("/"))
			c.want(304, "")
		}
	})
}

// What a backend has sent reaches the client while the backend is silent, also
// when it has ended a chunk with it.
func TestChunksAreNotHeldBack(t *testing.T) {
	for _, minor := range []int{0, 1} {
		inBubble(t, func(g *gateway) {
			g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for _, event := range []string{"one", "two"} {
					fmt.Fprintf(c, "3\r\n%s\r\n", event)
					time.Sleep(time.Minute)
				}
				io.WriteString(c, "0\r\n\r\n")
			}), config.Rule{})
			c := g.dial()
			c.send(fmt.Sprintf("GET / HTTP/1.%d\nHost: web.example\n\n", minor))
			start := time.Now()
			r, err := http.ReadResponse(c.in, nil)
			if err != nil {
				g.Fatal(err)
			}
			event := make([]byte, 3)
			for i, want := range []string{"one", "two"} {
				if _, err := io.ReadFull(r.Body, event); err != nil || string(event) != want {
					g.Fatalf("got %q, %v; want %q", event, err, want)
				}
				if took := time.Since(start); took != time.Duration(i)*time.Minute {
					g.Errorf("HTTP/1.%d: %q came after %v", minor, want, took)
				}
			}
			if n, err := r.Body.Read(event); n > 0 || err != io.EOF {
				g.Errorf("at the end: %d, %v", n, err)
			}
		})
	}
}
