package engine_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// RFC 9113 section 3.3: the first bytes of a connection say that it is HTTP/2,
// in however many pieces they come; what only begins like them is HTTP/1.1.
func TestRFC9113_3_3_PriorKnowledge(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		f := newFramer(g.TB, dribble{c.Conn})
		io.WriteString(dribble{c.Conn}, http2.ClientPreface)
		f.WriteSettings()
		f.get(1, "web.example", "/pieces")
		f.want(1, 200, "hello /pieces")

		c = g.dial()
		for _, b := range "POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n" {
			c.send(string(b))
		}
		c.want(200, "hello /")
		c.send(strings.ReplaceAll(http2.ClientPreface, "\r\n", "\n"))
		c.want(505, "505 HTTP Version Not Supported\n")
		c.wantClosed()

		c = g.dial()
		c.send("PRI * HTTP/2.0\n\nXX\n\n")
		c.want(505, "505 HTTP Version Not Supported\n")
	})
}

// In TLS a client says by ALPN what it speaks.
func TestPriorKnowledgeIsNotForTLS(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.mustDialTLS(nil)
		c.send(strings.ReplaceAll(http2.ClientPreface, "\r\n", "\n"))
		c.want(505, "505 HTTP Version Not Supported\n")
		f := g.framesTLS("web.example")
		f.get(1, "web.example", "/")
		f.want(1, 200, "hello /")
	})
}

// A beginning of the preface is a beginning of a request, and has its time.
func TestAPrefaceThatDoesNotEnd(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		start := time.Now()
		c.send("PRI * HTTP/2.0\n\n")
		c.want(408, "408 Request Timeout\n")
		c.wantClosed()
		if took := time.Since(start); took > proxy.DefaultLimits.HeadTimeout+2*time.Second {
			g.Errorf("it took %v", took)
		}
	})
}

// RFC 9113 section 8.1: a response may come before the request has ended, which
// then ends without an error; the connection goes on.
func TestRFC9113_8_1_EarlyResponses(t *testing.T) {
	onBoth(t, func(g *gateway) {
		release := make(chan bool)
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			if strings.HasPrefix(readHead(r), "POST") {
				io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
				<-release
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}), config.Rule{})
		defer close(release)
		f := g.frames()
		f.head(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		f.WriteData(1, false, []byte("some"))
		f.want(1, 413, "no")
		f.until(func() bool { _, reset := f.resets[1]; return reset })
		if code := f.resets[1]; code != http2.ErrCodeNo {
			g.Errorf("the request was reset with %v", code)
		}
		f.get(3, "a", "/")
		f.want(3, 200, "ok")
	})
}

// A client that takes no bytes of one stream holds its backend back, and no
// other stream.
func TestSlowStreamsHoldTheirBackendsBack(t *testing.T) {
	for _, origin := range both {
		t.Run(fmt.Sprint(origin), func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				var sent atomic.Int64
				g.serveVersion(origin, g.originOf(origin, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/small" {
						io.WriteString(w, "small")
						return
					}
					for range 1 << 10 {
						n, err := w.Write(make([]byte, 64<<10))
						if sent.Add(int64(n)); err != nil {
							return
						}
					}
				}), config.Rule{})
				user := g.user(2)
				large, err := user.Do(request("GET", "/large", nil))
				if err != nil {
					g.Fatal(err)
				}
				time.Sleep(time.Second)
				if n := sent.Load(); n > 8<<20 {
					g.Errorf("%d bytes left the backend, and nobody reads them", n)
				}
				small, err := user.Do(request("GET", "/small", nil))
				if err != nil {
					g.Fatal(err)
				}
				io.Copy(io.Discard, small.Body)
				if n, err := io.Copy(io.Discard, large.Body); n != 64<<20 || err != nil {
					g.Errorf("%d bytes came, %v", n, err)
				}
			})
		})
	}
}

// A backend that takes no bytes of one request holds that client back, and no
// other request over the same connections.
func TestSlowBackendsHoldTheirStreamsBack(t *testing.T) {
	for _, origin := range both {
		t.Run(fmt.Sprint(origin), func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				const size = 64 << 20
				release := make(chan bool)
				g.serveVersion(origin, g.originOf(origin, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						<-release
					}
					n, _ := io.Copy(io.Discard, r.Body)
					fmt.Fprint(w, n)
				}), config.Rule{})
				user := g.user(2)
				var sent atomic.Int64
				body := io.TeeReader(io.LimitReader(zeros{}, size), counting{&sent})
				answer := make(chan string)
				go func() {
					resp, err := user.Do(request("POST", "/slow", body))
					if err != nil {
						answer <- err.Error()
						return
					}
					text, _ := io.ReadAll(resp.Body)
					answer <- string(text)
				}()
				time.Sleep(time.Second)
				if n := sent.Load(); n > 8<<20 {
					g.Errorf("%d bytes left the client, and the backend takes none", n)
				}
				resp, err := user.Do(request("POST", "/fast", strings.NewReader("fast")))
				if err != nil {
					g.Fatal(err)
				}
				if text, _ := io.ReadAll(resp.Body); string(text) != "4" {
					g.Errorf("got %q beside a slow request", text)
				}
				close(release)
				if got := <-answer; got != fmt.Sprint(size) {
					g.Errorf("got %q", got)
				}
			})
		})
	}
}

// RFC 9113 section 8.7: what a backend refuses was not processed; it may be sent
// again, whatever its method, as long as its body was kept.
func TestRFC9113_8_7_RefusedStreams(t *testing.T) {
	for _, refusals := range []int{1, 9} {
		t.Run(fmt.Sprint(refusals), func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				var refused atomic.Int64
				g.serveVersion(2, g.framesOrigin(func(f *framer) {
					answered := map[uint32]bool{}
					for f.next() {
						for id := range f.heads {
							switch {
							case answered[id]:
								continue
							case refused.Add(1) <= int64(refusals):
								f.WriteRSTStream(id, http2.ErrCodeRefusedStream)
							default:
								f.head(id, true, ":status", "204")
							}
							answered[id] = true
						}
					}
				}), config.Rule{})
				c := g.dial()
				c.send("POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nbody")
				want := 204
				if refusals > 1 {
					want = 502
				}
				if r, _ := c.response("POST"); r.StatusCode != want {
					g.Errorf("got %d", r.StatusCode)
				}
			})
		})
	}
}

// A rule's retries hold for all versions.
func TestRetriesInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		handler, count := flaky(2)
		p.serve(config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 2}}, handler)
		resp, _ := p.do(request("PUT", "/", unsized{strings.NewReader("body")}))
		if resp.StatusCode != 200 || count.Load() != 2 {
			p.Errorf("got %d after %d requests", resp.StatusCode, count.Load())
		}
	})
}

// HTTPRequestMirrorFilter, to a backend of each version.
func TestMirrorsInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		copies := make(chan string, 1)
		mirror := p.originOf(p.origin, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			copies <- r.Method + " " + string(body)
		})
		b := backend("service/default/mirror:80", mirror)
		if p.origin == 2 {
			b.Protocol = config.AppH2C
		}
		p.apply(config.Delta{Backends: []*config.Backend{b}})
		p.serve(config.Rule{Filters: config.Filters{Mirrors: []config.Mirror{{Backend: b.Name, Numerator: 1, Denominator: 1}}}}, hello)
		p.do(request("POST", "/", unsized{strings.NewReader("body")}))
		if got := <-copies; got != "POST body" {
			p.Errorf("the mirror got %q", got)
		}
	})
}

// GEP-1742: a rule's timeouts hold for all versions.
func TestTimeoutsInAllVersions(t *testing.T) {
	for _, user := range both {
		for _, origin := range both {
			t.Run(fmt.Sprintf("%d to %d", user, origin), func(t *testing.T) {
				inBubble(t, func(g *gateway) {
					g.serveVersion(origin, g.originOf(origin, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), config.Rule{Timeouts: config.Timeouts{Request: 3 * time.Second}})
					start := time.Now()
					resp, err := g.user(user).Do(request("GET", "/", nil))
					if err != nil {
						g.Fatal(err)
					}
					if took := time.Since(start); resp.StatusCode != 504 || took < 3*time.Second || took > 4*time.Second {
						g.Errorf("got %d after %v", resp.StatusCode, took)
					}
					resp.Body.Close()
				})
			})
		}
	}
}

// RFC 9113 section 6.8: a drain announces itself, serves what is on its way, and
// ends the connection with its last stream.
func TestRFC9113_6_8_Drain(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(slow(20*time.Second)), config.Rule{})
		idle, busy := g.frames(), g.frames()
		busy.get(1, "a", "/")
		synctest.Wait()
		start := time.Now()
		done := g.shutdown(0, time.Minute)
		busy.until(func() bool { return len(busy.goaways) == 1 })
		busy.get(3, "a", "/crossing")
		for idle.next() {
		}
		if took := time.Since(start); took > 3*time.Second || len(idle.goaways) == 0 {
			g.Errorf("an idle connection ended after %v and %d GOAWAY", took, len(idle.goaways))
		}
		busy.until(func() bool { return busy.ended[1] && busy.ended[3] })
		for busy.next() {
		}
		if len(busy.goaways) < 2 || busy.goaways[0] != 1<<31-1 || busy.goaways[1] != 3 {
			g.Errorf("GOAWAY told %v", busy.goaways)
		}
		if took := time.Since(start); took > 30*time.Second {
			g.Errorf("the drain took %v", took)
		}
		<-done
	})
}

// A request that is on its way when its listener goes is answered by the routes
// that the listener had.
func TestLastStreamsOfAListenerKeepItsRoutes(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		f := g.frames()
		f.get(1, "a", "/first")
		f.want(1, 200, "hello /first")
		g.apply(config.Delta{Removed: []config.Ref{
			{Kind: config.KindListener, Name: "default/gw/http"},
			{Kind: config.KindRoute, Name: "httproute/default/web"},
			{Kind: config.KindBackend, Name: "service/default/web:80"},
		}})
		f.get(3, "a", "/crossing")
		f.want(3, 200, "hello /crossing")
		for f.next() {
		}
	})
}

// RFC 9110 section 15.5.20: a client may think that one connection is for two
// hosts (RFC 9113 section 9.1.1); each request is looked at.
func TestRFC9113_9_1_1_CoalescedRequests(t *testing.T) {
	onBoth(t, func(g *gateway) {
		cert := certificate(1, ecdsaKey(), "a.example", "b.example")
		g.mustApply(answering(g.https("ns/gw/a", "a.example", cert), g.https("ns/gw/b", "b.example", cert)))
		f := g.framesTLS("a.example")
		for i, tt := range []struct {
			host   string
			status int
			body   string
		}{{"a.example", 302, ""}, {"b.example", 421, "421 Misdirected Request\n"}, {"a.example", 302, ""}} {
			id := uint32(2*i + 1)
			f.head(id, true, ":method", "GET", ":scheme", "https", ":authority", tt.host, ":path", "/")
			f.want(id, tt.status, tt.body)
		}
	})
}

// Near its limit of memory a gateway sends connections away, and answers.
func TestMemoryNearItsLimitInHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Uint64
		g := newGateway(t, engine.Options{Workers: 2, Network: memnet.New(), Memory: func() (uint64, uint64) { return used.Load(), 100 }})
		g.serve(g.origin(hello), config.Rule{})
		for _, tt := range []struct {
			used   uint64
			status int
			body   string
			leaves bool
		}{{94, 200, "hello /", false}, {95, 200, "hello /", true}, {98, 503, "503 Service Unavailable\n", true}} {
			used.Store(tt.used)
			time.Sleep(time.Second)
			f := g.frames()
			f.get(1, "a", "/")
			f.want(1, tt.status, tt.body)
			start := time.Now()
			for f.next() {
			}
			if soon := time.Since(start) < proxy.DefaultLimits.KeepAlive; len(f.goaways) == 0 || soon != tt.leaves {
				t.Errorf("at %d %%: the connection ended after %v", tt.used, time.Since(start))
			}
		}
	})
}

func TestAccessLogOfHTTP2(t *testing.T) {
	var out bytes.Buffer
	log := observe.NewAccessLog(&out, observe.JSON, 1)
	g := newGateway(t, engine.Options{Workers: 1, AccessLog: log})
	g.serve(g.origin(hello), config.Rule{})
	f := g.frames()
	f.get(1, "web.example", "/logged")
	f.want(1, 200, "hello /logged")
	f.get(3, "web.example", "/later") // the record of the first is written by then
	f.want(3, 200, "hello /later")
	log.Close()
	if line := out.String(); !strings.Contains(line, "/logged") || !strings.Contains(line, `"protocol":"HTTP/2.0"`) {
		t.Errorf("the log says %q", line)
	}
}

// What is no request is recorded as in HTTP/1.1, with the status that it got.
func TestAccessLogOfMalformedRequests(t *testing.T) {
	var out bytes.Buffer
	log := observe.NewAccessLog(&out, observe.JSON, 1)
	g := newGateway(t, engine.Options{Workers: 1, AccessLog: log})
	g.serve(g.origin(hello), config.Rule{})
	f := g.frames()
	f.head(1, true, ":method", "GET", ":scheme", "http", ":authority", "a b", ":path", "/")
	f.head(3, true, ":method", "CONNECT", ":authority", "a:1")
	f.head(5, true, ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "connection", "close")
	f.get(7, "a", "/")
	f.want(7, 200, "hello /")
	f.get(9, "a", "/later")
	f.want(9, 200, "hello /later")
	log.Close()
	for _, status := range []string{"400", "501", "0"} {
		if want := `"protocol":"HTTP/2.0","status":` + status + `,"client":"127.0.0.1:`; !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), `"failure":"client_malformed"`); n != 3 {
		t.Errorf("%d records", n)
	}
}

// A connection of HTTP/2 that waits for requests holds its tables, and neither
// buffers nor a coroutine.
func TestIdleConnectionsOfHTTP2HoldNoBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the portable loops hold a goroutine for each")
	}
	const connections, bound = 300, 6 << 10 // bytes for each, both ends of it
	g := newGateway(t, engine.Options{Workers: 1})
	g.serve(g.parrot("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), config.Rule{})
	var head bytes.Buffer
	f := newFramer(t, nil)
	f.Framer = http2.NewFramer(&head, nil)
	head.WriteString(http2.ClientPreface)
	f.WriteSettings()
	f.WriteSettingsAck()
	f.get(1, "web.example", "/")
	open := func() {
		c, err := g.network.Dial(t.Context(), "tcp", g.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.Write(head.Bytes())
		for frame := make([]byte, 9); frame[3] != byte(http2.FrameHeaders); { // type
			if _, err := io.ReadFull(c, frame); err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, c, int64(frame[0])<<16|int64(frame[1])<<8|int64(frame[2]))
		}
	}
	open() // also the first exchange is made
	before := memory()
	for range connections {
		open()
	}
	if each := (memory() - before) / connections; each > bound {
		t.Errorf("an idle connection costs %d bytes, the bound is %d", each, bound)
	} else {
		t.Logf("an idle connection costs %d bytes", each)
	}
}

// Requests that are given up as soon as they were made cost no backend anything.
func TestRequestsThatAreResetAtOnceReachNoBackend(t *testing.T) {
	onBoth(t, func(g *gateway) {
		var connections atomic.Int64
		g.serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
			for connections.Add(1); readHead(r) != ""; {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}), config.Rule{})
		f := g.frames()
		f.get(1, "a", "/")
		f.want(1, 200, "ok")
		var burst bytes.Buffer
		through := f.Framer
		f.Framer = http2.NewFramer(&burst, nil)
		for id := uint32(3); id < 100; id += 2 {
			f.get(id, "a", "/")
			f.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		f.Framer = through
		f.conn.Write(burst.Bytes())
		f.get(101, "a", "/")
		f.want(101, 200, "ok")
		if n := connections.Load(); n > 4 { // the burst may come in two pieces
			g.Errorf("51 requests, 49 of which were given up, took %d connections", n)
		}
	})
}

// Connections that end are counted by how; the log has some that were cut.
func TestConnectionsOfHTTP2AreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := observe.NewMetrics(1, nil)
		var log bytes.Buffer
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		g.serve(g.origin(hello), config.Rule{})
		fine, wrong, silent := g.frames(), g.frames(), g.dial()
		fine.get(1, "a", "/")
		fine.want(1, 200, "hello /")
		fine.conn.Close()
		wrong.WriteData(1, true, nil) // of a stream that was never opened
		for wrong.next() {
		}
		io.WriteString(silent.Conn, http2.ClientPreface)
		io.Copy(io.Discard, silent.in)
		silent.Close()
		synctest.Wait()
		want := map[string]float64{"ok": 1, "protocol_error": 1, "settings_timeout": 1}
		if got := counted(t, metrics, "sluice_http2_connections_total"); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
		if n := g.engine.Connections(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		if lines := strings.Count(log.String(), "an HTTP/2 connection was cut"); lines != 2 {
			t.Errorf("the log has %d lines of 2:\n%s", lines, log.String())
		}
	})
}
