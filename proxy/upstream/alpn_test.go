package upstream_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// What is spoken, by the protocol of the backend and by what a request wants.
func TestProtocols(t *testing.T) {
	ours := newAuthority("ours")
	shown := []tls.Certificate{ours.issue("shop.example")}
	inTLS := trusting("shop.example", ours)
	for _, test := range []struct {
		name     string
		protocol config.AppProtocol
		tls      *config.BackendTLS
		want     upstream.Want
		answers  []string // the endpoint's ALPN
		offered  string
		http2    bool
		fails    string
	}{
		{name: "HTTP in clear text", protocol: config.AppHTTP},
		{name: "HTTP in clear text for gRPC", protocol: config.AppHTTP, want: upstream.Want{HTTP2: true}, http2: true},
		{name: "h2c", protocol: config.AppH2C, http2: true},
		{name: "ws", protocol: config.AppWebSocket},
		{name: "ws for gRPC", protocol: config.AppWebSocket, want: upstream.Want{HTTP2: true}},

		{name: "HTTP in TLS", protocol: config.AppHTTP, tls: inTLS, answers: []string{"h2", "http/1.1"}, offered: "h2 http/1.1", http2: true},
		{name: "HTTP in TLS, answered with HTTP/1.1", protocol: config.AppHTTP, tls: inTLS, answers: []string{"http/1.1"}, offered: "h2 http/1.1"},
		{name: "HTTP in TLS, not answered", protocol: config.AppHTTP, tls: inTLS, offered: "h2 http/1.1"},
		{name: "HTTP in TLS, refused", protocol: config.AppHTTP, tls: inTLS, answers: []string{"acme-tls/1"}, offered: "h2 http/1.1", fails: "alpn"},
		{name: "HTTP in TLS for gRPC", protocol: config.AppHTTP, tls: inTLS, want: upstream.Want{HTTP2: true}, answers: []string{"h2", "http/1.1"}, offered: "h2", http2: true},
		{name: "HTTP in TLS for gRPC, not answered", protocol: config.AppHTTP, tls: inTLS, want: upstream.Want{HTTP2: true}, offered: "h2", fails: "alpn"},
		{name: "HTTP in TLS for gRPC, refused", protocol: config.AppHTTP, tls: inTLS, want: upstream.Want{HTTP2: true}, answers: []string{"http/1.1"}, offered: "h2", fails: "alpn"},
		{name: "h2c in TLS", protocol: config.AppH2C, tls: inTLS, answers: []string{"http/1.1", "h2"}, offered: "h2", http2: true},
		{name: "h2c in TLS, not answered", protocol: config.AppH2C, tls: inTLS, offered: "h2", fails: "alpn"},
		{name: "ws in TLS", protocol: config.AppWebSocket, tls: inTLS, answers: []string{"h2", "http/1.1"}, offered: "http/1.1"},
		{name: "HTTP in TLS for a WebSocket", protocol: config.AppHTTP, tls: inTLS, want: upstream.Want{WebSocket: true}, answers: []string{"h2", "http/1.1"}, offered: "http/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:80")
				var offered []string
				o.serve = func(c net.Conn) {
					if test.tls != nil {
						settings := &tls.Config{Certificates: shown, NextProtos: test.answers}
						settings.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
							offered = hello.SupportedProtos
							return nil, nil
						}
						c = tls.Server(c, settings)
					}
					io.Copy(io.Discard, c)
				}
				b := w.apply(&config.Backend{Name: "web", Protocol: test.protocol, TLS: test.tls, Endpoints: []config.Endpoint{endpoint("10.0.0.1:80")}})
				c, _, err := w.getAs(b, test.want)
				w.settle()
				if upstream.Reason(err) != test.fails && (test.fails != "" || err != nil) {
					t.Fatalf("got %v (%s), want %q", err, upstream.Reason(err), test.fails)
				}
				if test.fails == "" && (c.Stream() != nil) != test.http2 {
					t.Errorf("HTTP/2: %v, want %v", c.Stream() != nil, test.http2)
				}
				if got := join(offered); got != test.offered {
					t.Errorf("offered %q, want %q", got, test.offered)
				}
			})
		})
	}
}

func join(protocols []string) string {
	var all bytes.Buffer
	for i, p := range protocols {
		if i > 0 {
			all.WriteByte(' ')
		}
		all.WriteString(p)
	}
	return all.String()
}

// An endpoint that chooses HTTP/1.1 is not waited for by the next requests: each
// makes its own connection at once.
func TestEndpointThatChoosesHTTP1(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}, NextProtos: []string{"http/1.1"}})
		w.net.delay["10.0.0.1:443"] = time.Second
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		for round, took := range []time.Duration{2 * time.Second, time.Second} {
			all := w.start(b, upstream.Want{}, 10)
			time.Sleep(took)
			w.settle()
			conns := map[*upstream.Conn]bool{}
			for _, g := range all {
				if g.err != nil || g.conn == nil || g.conn.Stream() != nil || g.reused {
					t.Fatalf("round %d: %+v", round, g)
				}
				conns[g.conn] = true
			}
			if len(conns) != 10 {
				t.Errorf("%d connections for 10 requests", len(conns))
			}
			for c := range conns {
				w.discard(c)
			}
		}
		if got := b.Counters(); got.Connects != 20 || got.Reused != 0 || got.Active != 0 {
			t.Errorf("counters %+v", got)
		}
	})
}

// A connection of HTTP/1.1 that nobody waits for any more is kept for the next.
func TestConnectOutlivesItsRequest(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}})
		w.net.delay["10.0.0.1:443"] = 2 * time.Second
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		if _, _, err := w.getAs(b, upstream.Want{Deadline: time.Now().Add(time.Second)}); upstream.Reason(err) != "timeout" {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if w.idle() != 1 {
			t.Errorf("%d idle, want 1", w.idle())
		}
		if _, reused, err := w.getAs(b, upstream.Want{}); !reused || err != nil {
			t.Errorf("reused: %v, %v", reused, err)
		}
	})
}

// The choice is the endpoint's, and it may change.
func TestEndpointThatChangesItsChoice(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		settings := &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}}
		answers := []string{"http/1.1"}
		w.http2("10.0.0.1:443", settings, func(s *http.Server) {
			s.TLSConfig.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				c := settings.Clone()
				c.NextProtos = answers
				return c, nil
			}
		})
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		for _, choice := range []string{"http/1.1", "h2", "http/1.1", "h2"} {
			answers = []string{choice}
			c, reused, err := w.getAs(b, upstream.Want{})
			if err != nil || reused || (c.Stream() != nil) != (choice == "h2") {
				t.Fatalf("%s: reused: %v, %v", choice, reused, err)
			}
			if choice == "h2" {
				if body, err := w.ask(c); body != "HTTP/2.0" || err != nil {
					t.Errorf("got %q, %v", body, err)
				}
				w.do(w.pool.Drain) // ends it when it comes back
			}
			w.discard(c)
			w.settle()
		}
	})
}

func TestSessionsAreOfOneIdentity(t *testing.T) {
	ours := newAuthority("ours")
	one, two := ours.issue("one"), ours.issue("two")
	inWorld(t, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}, ClientAuth: tls.RequestClientCert}, func(s *http.Server) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, c := range r.TLS.PeerCertificates[:min(1, len(r.TLS.PeerCertificates))] {
					io.WriteString(w, c.DNSNames[0])
				}
			})
		})
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		for range 2 {
			for name, identity := range map[string]*tls.Certificate{"": nil, "one": &one, "two": &two} {
				c, _, err := w.getAs(b, upstream.Want{Identity: identity})
				if err != nil {
					t.Fatal(err)
				}
				if shown, err := w.ask(c); shown != name || err != nil {
					t.Errorf("the endpoint was shown %q, want %q, %v", shown, name, err)
				}
				w.put(c)
			}
		}
		if all, _ := o.connections(); all != 3 {
			t.Errorf("%d connections, want 3", all)
		}
	})
}

// peer speaks HTTP/2 by hand: it answers each request as answer does.
func peer(c net.Conn, answer func(f *http2.Framer, stream uint32), settings ...http2.Setting) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	f.WriteSettings(settings...)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			if answer != nil {
				answer(f, frame.StreamID)
			}
		}
	}
}

var takesConnect = http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}

// WebSocket over HTTP/2 goes where SETTINGS_ENABLE_CONNECT_PROTOCOL says so
// (RFC 8441 section 3).
func TestWebSocketOverHTTP2(t *testing.T) {
	ours := newAuthority("ours")
	shown := []tls.Certificate{ours.issue("shop.example")}
	inTLS := trusting("shop.example", ours)
	for _, test := range []struct {
		name     string
		protocol config.AppProtocol
		tls      *config.BackendTLS
		answers  []string
		settings []http2.Setting
		before   bool // there is a session already
		http2    bool
		fails    string
	}{
		{name: "h2c that takes it", protocol: config.AppH2C, settings: []http2.Setting{takesConnect}, http2: true},
		{name: "h2c that does not", protocol: config.AppH2C, fails: "alpn"},
		{name: "TLS that takes it", protocol: config.AppHTTP, tls: inTLS, answers: []string{"h2", "http/1.1"}, settings: []http2.Setting{takesConnect}, before: true, http2: true},
		{name: "TLS that does not", protocol: config.AppHTTP, tls: inTLS, answers: []string{"h2", "http/1.1"}, before: true},
		{name: "TLS with HTTP/2 alone that takes it", protocol: config.AppHTTP, tls: inTLS, answers: []string{"h2"}, settings: []http2.Setting{takesConnect}, http2: true},
		{name: "TLS with HTTP/2 alone that does not", protocol: config.AppHTTP, tls: inTLS, answers: []string{"h2"}, fails: "alpn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:443")
				o.serve = func(c net.Conn) {
					if test.tls != nil {
						settings := &tls.Config{Certificates: shown, NextProtos: test.answers}
						settings.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
							if strict := settings.Clone(); !slices.ContainsFunc(test.answers, func(p string) bool { return slices.Contains(hello.SupportedProtos, p) }) {
								strict.NextProtos = []string{"none of these"} // crypto/tls lets HTTP/1.1 pass where HTTP/2 is served
								return strict, nil
							}
							return nil, nil
						}
						s := tls.Server(c, settings)
						if s.Handshake() != nil || s.ConnectionState().NegotiatedProtocol != "h2" {
							return
						}
						c = s
					}
					peer(c, nil, test.settings...)
				}
				b := w.apply(&config.Backend{Name: "web", Protocol: test.protocol, TLS: test.tls, Endpoints: []config.Endpoint{endpoint("10.0.0.1:443")}})
				if test.before {
					w.put(w.burst(b, upstream.Want{}, 1)...)
				}
				c, _, err := w.getAs(b, upstream.Want{WebSocket: true})
				if test.fails != "" {
					if upstream.Reason(err) != test.fails {
						t.Errorf("got %v", err)
					}
				} else if err != nil || (c.Stream() != nil) != test.http2 {
					t.Errorf("got %v, HTTP/2: %v", err, err == nil && c.Stream() != nil)
				} else {
					w.discard(c)
				}
				w.settle()
				if got := b.Counters(); got.Active != 0 {
					t.Errorf("counters %+v", got)
				}
			})
		})
	}
}

// REFUSED_STREAM (RFC 9113 section 8.7) says that a request may be sent again.
func TestRefusedStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		o.serve = func(c net.Conn) {
			peer(c, func(f *http2.Framer, stream uint32) {
				if stream == 1 {
					f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
					return
				}
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			})
		}
		b := w.setH2C(endpoint("10.0.0.1:80"))
		c, _, _ := w.getAs(b, upstream.Want{})
		if _, err := w.ask(c); err == nil || !c.Stream().Refused() {
			t.Errorf("got %v, refused: %v", err, c.Stream().Refused())
		}
		w.put(c)
		if c, reused, _ := w.getAs(b, upstream.Want{}); !reused {
			t.Error("a refused stream cost the connection")
		} else if _, err := w.ask(c); err != nil {
			t.Error(err)
		}
	})
}

// A connection that takes no more streams does not stand in another one's way.
func TestGoAwayMakesRoom(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.Sessions = 1
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		o.serve = func(c net.Conn) {
			peer(c, func(f *http2.Framer, stream uint32) { f.WriteGoAway(stream, http2.ErrCodeNo, nil) })
		}
		b := w.setH2C(endpoint("10.0.0.1:80"))
		c, _, _ := w.getAs(b, upstream.Want{})
		w.loop.Post(func() { w.loop.Go(func() { roundTrip(c.Stream(), "/") }) })
		w.settle()
		if _, reused, err := w.getAs(b, upstream.Want{}); reused || err != nil {
			t.Errorf("reused: %v, %v", reused, err)
		}
		if n := o.open(); n != 2 {
			t.Errorf("%d connections are open, want 2", n)
		}
	})
}

// A connection that leads nowhere is not used for ever.
func TestPeerIsSilent(t *testing.T) {
	for _, test := range []struct {
		name   string
		giveUp time.Duration
		pings  bool
		kept   bool
	}{
		{"for long", 2 * time.Second, false, false},
		{"for a moment", time.Second / 2, false, true},
		{"about this stream alone", 2 * time.Second, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:80")
				o.serve = func(c net.Conn) {
					peer(c, func(f *http2.Framer, stream uint32) {
						for range 5 {
							if test.pings {
								f.WritePing(false, [8]byte{})
							}
							time.Sleep(time.Second / 2)
						}
					})
				}
				b := w.setH2C(endpoint("10.0.0.1:80"))
				w.put(w.burst(b, upstream.Want{}, 1)...)
				time.Sleep(time.Minute / 2) // without a request there is nothing to say
				c, _, _ := w.getAs(b, upstream.Want{})
				w.do(func() {
					req := &message.Request{Method: "GET", Scheme: "http", Authority: "shop.example", Path: "/", Major: 2}
					if err := c.Stream().WriteRequest(req, true); err != nil {
						t.Error(err)
					}
					w.loop.Sleep(test.giveUp)
					w.pool.Discard(c)
				})
				if _, reused, err := w.getAs(b, upstream.Want{}); reused != test.kept || err != nil {
					t.Errorf("reused: %v, %v", reused, err)
				}
			})
		})
	}
}

// A peer that ends each connection does not keep a request that waits busy.
func TestPeerThatEndsEachConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		o.serve = func(c net.Conn) {
			http2.NewFramer(c, c).WriteGoAway(0, http2.ErrCodeNo, nil)
			c.Close()
		}
		b := w.setH2C(endpoint("10.0.0.1:80"))
		for range 3 {
			c, _, err := w.getAs(b, upstream.Want{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.ask(c); err == nil {
				t.Error("a response came")
			}
			w.put(c)
		}
		if n := len(o.accepted()); n != 3 || w.idle() != 0 {
			t.Errorf("%d connections for 3 requests, %d idle", n, w.idle())
		}
	})
}
