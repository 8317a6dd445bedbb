package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy"
)

// withSettings runs a test in clear text and in TLS, with a listener whose
// clients are held to the settings. ask makes a connection.
func withSettings(t *testing.T, s config.ClientSettings, fn func(g *gateway, ask func() *client)) {
	t.Helper()
	for name, secure := range map[string]bool{"in clear text": false, "in TLS": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				ask := g.dial
				if secure {
					ask = func() *client { return g.secured().mustDialTLS(nil) }
					g.secured()
				}
				g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Added"))
				}), config.Rule{})
				l := g.listener()
				l.Client = &s
				g.apply(config.Delta{Listeners: []*config.Listener{l}})
				fn(g, ask)
			})
		})
	}
}

func TestLimitsOfAListener(t *testing.T) {
	withSettings(t, config.ClientSettings{Limits: config.ClientLimits{HeaderBytes: 400, HeaderFields: 5}}, func(g *gateway, ask func() *client) {
		for fields, status := range map[string]int{
			"X-A: a":                            200,
			"X-A: " + strings.Repeat("a", 500):  431,
			strings.Repeat("X-A: a\n", 6) + "X": 431,
		} {
			c := ask()
			c.send(get("/", strings.TrimSuffix(fields, "\nX")))
			if r, _ := c.response("GET"); r.StatusCode != status {
				g.Errorf("%.20q got %d, want %d", fields, r.StatusCode, status)
			}
		}
	})
	withSettings(t, config.ClientSettings{Limits: config.ClientLimits{Connections: 2}}, func(g *gateway, ask func() *client) {
		ask()
		last := ask()
		synctest.Wait() // both are accepted
		start := time.Now()
		g.dial().wantClosed()
		if time.Since(start) > time.Second {
			g.Error("one connection too many has idled until its time was over")
		}
		last.Close()
		synctest.Wait()
		c := ask()
		c.send(get("/"))
		c.response("GET")
	})
}

// Of listeners that share a port the least limit holds, whatever the order, and
// one that says nothing says nothing.
func TestLeastConnectionsOfASharedPort(t *testing.T) {
	for name, limits := range map[string][]int64{"least first": {2, 5, 0}, "least last": {0, 7, 2}, "alone": {2}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				var all []*config.Listener
				for i, n := range limits {
					l := g.listener()
					l.Name, l.Hostname = fmt.Sprintf("ns/gw/%d", i), fmt.Sprintf("%d.example", i)
					if n > 0 {
						l.Client = &config.ClientSettings{Limits: config.ClientLimits{Connections: n}}
					}
					all = append(all, l)
				}
				g.apply(config.Delta{Listeners: all})
				for range 2 {
					g.dial().send("GET / HTTP/1.1\n")
				}
				synctest.Wait()
				start := time.Now()
				g.dial().wantClosed()
				if took := time.Since(start); took > time.Second {
					g.Errorf("a third connection ended after %v", took)
				}
			})
		})
	}
}

func TestTimeoutsOfAListener(t *testing.T) {
	withSettings(t, config.ClientSettings{Timeouts: config.ClientTimeouts{Idle: 7 * time.Second, Head: 3 * time.Second, BodyIdle: 5 * time.Second}}, func(g *gateway, ask func() *client) {
		for sent, want := range map[string]time.Duration{
			"":        7 * time.Second,
			"GET / H": 3 * time.Second,
			"POST / HTTP/1.1\nHost: web.example\nContent-Length: 10\n\nhalf": 5 * time.Second,
		} {
			c, start := ask(), time.Now()
			c.send(sent)
			io.Copy(io.Discard, c.in)
			if took := time.Since(start); took < want || took > want+proxy.DefaultLimits.LingerTime+time.Second {
				g.Errorf("after %.10q the connection ended after %v, want %v", sent, took, want)
			}
		}
	})
}

// A handshake's time counts from its first byte, once the name in the
// ClientHello says whose listener it is.
func TestHandshakeTimeOfAListener(t *testing.T) {
	hello := clientHello(t)
	inBubble(t, func(g *gateway) {
		l := g.https("ns/gw/a", "web.example", web)
		l.Client = &config.ClientSettings{Timeouts: config.ClientTimeouts{Handshake: 3 * time.Second}}
		g.mustApply(answering(l))
		c, start := g.dial(), time.Now()
		c.Conn.Write(hello)
		io.Copy(io.Discard, c.in)
		if took := time.Since(start); took < 3*time.Second || took > 5*time.Second {
			g.Errorf("cut off after %v", took)
		}
	})
}

// A change of settings holds for connections that are open.
func TestTrustedProxiesOfAListener(t *testing.T) {
	trusted := config.ClientSettings{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	withSettings(t, trusted, func(g *gateway, ask func() *client) {
		c := ask()
		c.send(get("/", "X-Forwarded-For: 192.0.2.1"))
		if _, body := c.response("GET"); !strings.HasPrefix(body, "192.0.2.1, ") {
			g.Errorf("the backend was told %q", body)
		}
		g.apply(config.Delta{Listeners: []*config.Listener{g.listener()}})
		c.send(get("/", "X-Forwarded-For: 192.0.2.1"))
		if _, body := c.response("GET"); strings.Contains(body, "192.0.2.1") {
			g.Errorf("after the change the backend was told %q", body)
		}
	})
}

// Header rules of a listener come before its routes and behind all responses,
// also those that no backend made.
func TestHeaderRulesOfAListener(t *testing.T) {
	rules := config.ClientSettings{
		RequestHeaders:  &config.HeaderModifier{Set: []config.Header{{Name: "X-Added", Value: "yes"}}, Remove: []string{"X-Secret"}},
		ResponseHeaders: &config.HeaderModifier{Set: []config.Header{{Name: "Strict-Transport-Security", Value: "max-age=1"}}},
	}
	withSettings(t, rules, func(g *gateway, ask func() *client) {
		rule := config.Rule{Backends: []config.BackendRef{{Backend: "service/default/web:80", Weight: 1}}, Matches: []config.Match{{
			Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}, Headers: []config.ValueMatch{{Name: "x-added", Value: "yes"}},
		}}}
		g.apply(config.Delta{Routes: []*config.Route{route("httproute/default/web", rule)}})
		for request, status := range map[string]int{
			get("/"): 200,
			"OPTIONS * HTTP/1.1\nHost: web.example\nMax-Forwards: 0\n\n": 204,
			"GET / HTTP/1.1\nHost: \x01\n\n":                             400,
		} {
			c := ask()
			c.send(request)
			r, body := c.response("GET")
			if r.StatusCode != status || r.Header.Get("Strict-Transport-Security") != "max-age=1" {
				g.Errorf("%.10q got %d with %v", request, r.StatusCode, r.Header)
			}
			if status == 200 && !strings.HasSuffix(body, " yes") {
				g.Errorf("the backend was told %q", body)
			}
		}
	})
}

// A request keeps the rules that it began with, though its connection has others
// since.
func TestHeaderRulesOfARequestUnderWay(t *testing.T) {
	inBubble(t, func(g *gateway) {
		release := make(chan bool)
		g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
			}
		}), config.Rule{})
		edge := func(value string) {
			l := g.listener()
			l.Client = &config.ClientSettings{ResponseHeaders: &config.HeaderModifier{Set: []config.Header{{Name: "X-Edge", Value: value}}}}
			g.apply(config.Delta{Listeners: []*config.Listener{l}})
		}
		edge("old")
		f := g.frames()
		f.get(1, "a", "/slow")
		synctest.Wait()
		edge("new")
		f.get(3, "a", "/")
		f.want(3, 200, "")
		close(release)
		f.want(1, 200, "")
		if old, now := f.heads[1][0]["x-edge"], f.heads[3][0]["x-edge"]; old != "old" || now != "new" {
			g.Errorf("got %q and %q", old, now)
		}
	})
}

// The answer that begins a WebSocket is a response too.
func TestHeaderRulesOfAListenerReachWebSockets(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.webSocketOrigin(), config.Rule{})
		l := g.listener()
		l.Client = &config.ClientSettings{ResponseHeaders: &config.HeaderModifier{Set: []config.Header{{Name: "X-Edge", Value: "yes"}}}}
		g.apply(config.Delta{Listeners: []*config.Listener{l}})
		c := g.dial()
		c.send(strings.Replace(handshake, "Key: x", "Key: dGhlIHNhbXBsZSBub25jZQ==", 1))
		if r, err := http.ReadResponse(c.in, nil); err != nil || r.StatusCode != 101 || r.Header.Get("X-Edge") != "yes" {
			g.Errorf("got %v, %v", r, err)
		}
		f := g.frames()
		f.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/ws", "sec-websocket-version", "13")
		f.until(func() bool { return len(f.heads[1]) > 0 })
		if head := f.heads[1][0]; head[":status"] != "200" || head["x-edge"] != "yes" {
			g.Errorf("got %v", head)
		}
	})
}

// ListenerTLS says which versions, ciphers and protocols are spoken.
func TestTLSOfAListener(t *testing.T) {
	const alien = "tls: no application protocol"
	for name, test := range map[string]struct {
		listener config.ListenerTLS
		client   *tls.Config
		alert    string
		protocol string
	}{
		"TLS 1.3 only, 1.2 asked for":    {config.ListenerTLS{MinVersion: "1.3"}, &tls.Config{MaxVersion: tls.VersionTLS12}, "tls: protocol version not supported", ""},
		"TLS 1.2 only, 1.3 asked for":    {config.ListenerTLS{MaxVersion: "1.2"}, &tls.Config{MinVersion: tls.VersionTLS13}, "tls: protocol version not supported", ""},
		"another cipher":                 {config.ListenerTLS{MaxVersion: "1.2", Ciphers: []string{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}}, &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "tls: handshake failure", ""},
		"the cipher":                     {config.ListenerTLS{MaxVersion: "1.2", Ciphers: []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}}, &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "", ""},
		"HTTP/1.1 only, both":            {config.ListenerTLS{ALPN: []string{"http/1.1"}}, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, "", "http/1.1"},
		"HTTP/1.1 only, HTTP/2":          {config.ListenerTLS{ALPN: []string{"http/1.1"}}, &tls.Config{NextProtos: []string{"h2"}}, alien, ""},
		"HTTP/2 only, HTTP/1.1":          {config.ListenerTLS{ALPN: []string{"h2"}}, &tls.Config{NextProtos: []string{"http/1.1"}}, alien, ""},
		"HTTP/2 only, another protocol":  {config.ListenerTLS{ALPN: []string{"h2"}}, &tls.Config{NextProtos: []string{"imap"}}, alien, ""},
		"HTTP/2 only, no protocol":       {config.ListenerTLS{ALPN: []string{"h2"}}, &tls.Config{}, "", ""},
		"the default, another protocol":  {config.ListenerTLS{}, &tls.Config{NextProtos: []string{"smtp", "ftp"}}, alien, ""},
		"the default, HTTP/1.1":          {config.ListenerTLS{}, &tls.Config{NextProtos: []string{"http/1.1"}}, "", "http/1.1"},
		"HTTP/1.1 is preferred, by both": {config.ListenerTLS{ALPN: []string{"http/1.1", "h2"}}, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, "", "http/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				l := g.https("ns/gw/a", "", web)
				l.TLS = &test.listener
				g.mustApply(answering(l))
				client := test.client.Clone()
				client.ServerName = "web.example"
				c, err := g.dialTLS(client)
				switch {
				case err != nil || test.alert != "":
					if alerted(err) != test.alert {
						g.Errorf("got %q, want %q", alerted(err), test.alert)
					}
				case c.state().NegotiatedProtocol != test.protocol:
					g.Errorf("protocol %q, want %q", c.state().NegotiatedProtocol, test.protocol)
				}
			})
		})
	}
}

// What cannot be had is the listener's fault, and no other's.
func TestUnknownParametersAreReported(t *testing.T) {
	inBubble(t, func(g *gateway) {
		for want, settings := range map[string]config.ListenerTLS{
			`version "1.1"`:   {MinVersion: "1.1"},
			"the lowest":      {MinVersion: "1.3", MaxVersion: "1.2"},
			`cipher "RC4"`:    {Ciphers: []string{"RC4"}},
			"none of TLS 1.2": {Ciphers: []string{"TLS_AES_128_GCM_SHA256"}},
			`bundle "x"`:      {ClientAuth: config.ClientAuthValidOnly, ClientCAs: []config.TrustBundle{{Name: "x", PEM: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}}},
		} {
			l := g.https("ns/gw/a", "a.example", web)
			l.TLS = &settings
			report := g.engine.Apply(answering(l, g.https("ns/gw/b", "b.example", web))).Listeners
			if !strings.Contains(fmt.Sprint(report["ns/gw/a"]), want) || report["ns/gw/b"] != nil {
				g.Errorf("the report is %v, want %q", report, want)
			}
		}
	})
}

// The last request on a connection whose listener is gone is treated as those
// before it.
func TestLastRequestKeepsItsSettings(t *testing.T) {
	rules := config.ClientSettings{ResponseHeaders: &config.HeaderModifier{Set: []config.Header{{Name: "X-Added", Value: "yes"}}}}
	withSettings(t, rules, func(g *gateway, ask func() *client) {
		c := ask()
		c.send(get("/"))
		c.response("GET")
		g.apply(config.Delta{Removed: []config.Ref{{Kind: config.KindListener, Name: "default/gw/http"}}})
		c.send(get("/"))
		if r, _ := c.response("GET"); r.StatusCode != 200 || r.Header.Get("X-Added") != "yes" {
			g.Errorf("the last request got %d with %v", r.StatusCode, r.Header)
		}
	})
}
