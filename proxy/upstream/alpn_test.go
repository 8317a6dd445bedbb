package upstream_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
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
		before := b.Counters().Connects
		w.burst(b, upstream.Want{}, 10)
		if n := b.Counters().Connects - before; n != 1 {
			t.Errorf("%d connects for 10 requests of an endpoint that speaks HTTP/2 now", n)
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
