package upstream_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

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
				if got := b.Counters(); got.Active != 0 || w.idle() != 1 {
					t.Errorf("counters %+v, %d idle, want one session", got, w.idle())
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
				time.Sleep(3 * time.Second) // until the peer has had its say
			})
		})
	}
}

// A session that nobody waits for any more is kept for the next.
func TestSessionOutlivesItsRequest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		o.serve = func(c net.Conn) { peer(c, nil) }
		w.net.delay["10.0.0.1:80"] = 2 * time.Second
		b := w.setH2C(endpoint("10.0.0.1:80"))
		if _, _, err := w.getAs(b, upstream.Want{Deadline: time.Now().Add(time.Second)}); upstream.Reason(err) != "timeout" {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if w.idle() != 1 {
			t.Errorf("%d idle, want 1", w.idle())
		}
	})
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
