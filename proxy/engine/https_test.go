package engine_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// certificates made by the tests sign themselves; the serial tells them apart.
func certificate(serial int64, key crypto.Signer, names ...string) config.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Unix(1, 0), NotAfter: time.Now().Add(1000 * time.Hour)}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return config.Certificate{
		Name:  fmt.Sprintf("secret/default/%d", serial),
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func ecdsaKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaKey() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// web is the certificate of most tests.
var web = certificate(1, ecdsaKey(), "web.example")

// secured makes the gateway's own listener an HTTPS one.
func (g *gateway) secured() *gateway {
	g.certificates = []config.Certificate{web}
	return g
}

// dialTLS connects in TLS and asks for web.example, unless the settings, which
// may be nil, say otherwise.
func (g *gateway) dialTLS(settings *tls.Config) (*client, error) {
	g.Helper()
	raw := g.dial()
	if settings == nil {
		settings = &tls.Config{ServerName: "web.example"}
	}
	settings.InsecureSkipVerify = true
	secure := tls.Client(raw.Conn, settings)
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	return &client{g.TB, secure, bufio.NewReader(secure)}, nil
}

// mustDialTLS is dialTLS where the handshake is to succeed.
func (g *gateway) mustDialTLS(settings *tls.Config) *client {
	g.Helper()
	c, err := g.dialTLS(settings)
	if err != nil {
		g.Fatalf("handshake: %v", err)
	}
	return c
}

func (c *client) state() tls.ConnectionState { return c.Conn.(*tls.Conn).ConnectionState() }

// serial is that of the certificate which the gateway has shown.
func (c *client) serial() int64 { return c.state().PeerCertificates[0].SerialNumber.Int64() }

// alerted returns the alert that the gateway has sent, in crypto/tls's words.
func alerted(err error) string { return strings.TrimPrefix(fmt.Sprint(err), "remote error: ") }

// https is an HTTPS listener of the gateway with a certificate of its own.
func (g *gateway) https(name, hostname string, certificates ...config.Certificate) *config.Listener {
	return &config.Listener{Name: name, Addresses: []netip.Addr{g.addr.Addr()}, Port: g.addr.Port(), Protocol: config.ProtocolHTTPS, Hostname: hostname, Certificates: certificates}
}

// answering serves each listener's requests with its name in a field.
func answering(listeners ...*config.Listener) *config.Delta {
	d := &config.Delta{Version: 1, Reset: true, Listeners: listeners}
	for _, l := range listeners {
		d.Routes = append(d.Routes, attached("httproute/"+l.Name, l.Name, config.Rule{Filters: config.Filters{
			Redirect: &config.Redirect{Status: 302, Hostname: strings.ReplaceAll(l.Name, "/", ".")},
		}}))
	}
	return d
}

func (g *gateway) mustApply(d *config.Delta) {
	g.Helper()
	for name, err := range g.engine.Apply(d).Listeners {
		if err != nil {
			g.Fatalf("listener %s: %v", name, err)
		}
	}
}

// An exact hostname goes before a wildcard, that before a listener without one;
// a name that nobody has ends the handshake (RFC 6066 section 3).
func TestServerNameChoosesTheListener(t *testing.T) {
	one, two, three, rest := certificate(1, ecdsaKey(), "a.example"), certificate(2, ecdsaKey(), "*.example"), certificate(3, ecdsaKey(), "*.deep.example"), certificate(4, ecdsaKey())
	for _, test := range []struct {
		name       string
		serial     int64 // with a listener for any name
		withoutAny string
	}{
		{"a.example", 1, ""},
		{"A.EXAMPLE", 1, ""},
		{"b.example", 2, ""},
		{"b.c.example", 2, ""},
		{"x.deep.example", 3, ""},
		{"example", 4, "tls: unrecognized name"},
		{"other.test", 4, "tls: unrecognized name"},
		{"", 4, "tls: unrecognized name"},
	} {
		t.Run("name "+test.name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				named := []*config.Listener{g.https("ns/gw/exact", "a.example", one), g.https("ns/gw/wild", "*.example", two), g.https("ns/gw/deep", "*.deep.example", three)}
				g.mustApply(answering(append(named, g.https("ns/gw/any", "", rest))...))
				c := g.mustDialTLS(&tls.Config{ServerName: test.name})
				if c.serial() != test.serial {
					g.Errorf("certificate %d was shown, want %d", c.serial(), test.serial)
				}
				g.mustApply(answering(named...))
				if _, err := g.dialTLS(&tls.Config{ServerName: test.name}); test.withoutAny != "" && alerted(err) != test.withoutAny || test.withoutAny == "" && err != nil {
					g.Errorf("without a listener for any name: %v, want %q", err, test.withoutAny)
				}
			})
		})
	}
}

// Of a listener's certificates the one is shown that the client can use, and of
// those the one that has the name it asks for.
func TestCertificatesByKeyTypeAndName(t *testing.T) {
	rsaOne, ecdsaTwo, ecdsaThree := certificate(1, rsaKey(), "a.example"), certificate(2, ecdsaKey(), "a.example"), certificate(3, ecdsaKey(), "b.example")
	only := func(suite uint16, name string) *tls.Config {
		return &tls.Config{ServerName: name, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
	}
	const rsaSuite, ecdsaSuite = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for name, test := range map[string]struct {
		shown  []config.Certificate
		client *tls.Config
		want   int64
	}{
		"the first that fits":              {[]config.Certificate{rsaOne, ecdsaTwo}, &tls.Config{ServerName: "a.example"}, 1},
		"the client knows ECDSA only":      {[]config.Certificate{rsaOne, ecdsaTwo}, only(ecdsaSuite, "a.example"), 2},
		"the client knows RSA only":        {[]config.Certificate{ecdsaTwo, rsaOne}, only(rsaSuite, "a.example"), 1},
		"by name":                          {[]config.Certificate{ecdsaTwo, ecdsaThree}, &tls.Config{ServerName: "b.example"}, 3},
		"none has the name":                {[]config.Certificate{rsaOne, ecdsaThree}, only(ecdsaSuite, "c.example"), 3},
		"no name is asked for":             {[]config.Certificate{rsaOne, ecdsaThree}, &tls.Config{}, 1},
		"a name that only the other has":   {[]config.Certificate{rsaOne, ecdsaThree}, &tls.Config{ServerName: "b.example"}, 3},
		"the named one cannot be used: it": {[]config.Certificate{rsaOne, ecdsaThree}, only(rsaSuite, "b.example"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.mustApply(answering(g.https("ns/gw/any", "", test.shown...)))
				if got := g.mustDialTLS(test.client).serial(); got != test.want {
					g.Errorf("certificate %d was shown, want %d", got, test.want)
				}
			})
		})
	}
}

// What is not safe, or not served, is refused with the alert that says so.
func TestHandshakesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		client *tls.Config
		alert  string
	}{
		"TLS 1.1":                   {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "tls: protocol version not supported"},
		"no forward secrecy":        {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, "tls: handshake failure"},
		"CBC":                       {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, "tls: handshake failure"},
		"another protocol (ALPACA)": {&tls.Config{NextProtos: []string{"ftp", "imap"}}, "tls: no application protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				g.secured().serve(g.origin(hello), config.Rule{})
				settings := test.client.Clone()
				settings.ServerName = "web.example"
				if _, err := g.dialTLS(settings); alerted(err) != test.alert {
					g.Errorf("got %q, want %q", alerted(err), test.alert)
				}
			})
		})
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		if _, err := g.dialTLS(&tls.Config{ServerName: strings.Repeat("a.", 150) + "example"}); alerted(err) != "tls: unrecognized name" {
			g.Errorf("got %q", alerted(err))
		}
	})
}

func TestHandshakeParameters(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.secured().serve(g.origin(hello), config.Rule{})
		c := g.mustDialTLS(&tls.Config{ServerName: "web.example", NextProtos: []string{"http/1.1", "h2"}})
		if s := c.state(); s.NegotiatedProtocol != "h2" || s.Version != tls.VersionTLS13 || s.CurveID != tls.X25519MLKEM768 {
			g.Errorf("protocol %q, version %x, key exchange %v", s.NegotiatedProtocol, s.Version, s.CurveID)
		}
		if s := g.mustDialTLS(&tls.Config{ServerName: "web.example"}).state(); s.NegotiatedProtocol != "" {
			g.Errorf("protocol %q, although none was offered", s.NegotiatedProtocol)
		}
	})
}

// Gateway API, Listener.hostname, and RFC 9110 section 15.5.20: a connection
// serves the hosts of the listener whose certificate it has shown.
func TestMisdirectedRequests(t *testing.T) {
	for _, test := range []struct {
		name, host string
		status     int
	}{
		{"example.org", "example.org", 302},
		{"example.org", "example.org:443", 302},
		{"example.org", "second-example.org", 421},
		{"example.org", "unknown-example.org", 302},
		{"second-example.org", "second-example.org", 302},
		{"second-example.org", "example.org", 421},
		{"third.wildcard.org", "fifth.wildcard.org", 302},
		{"third.wildcard.org", "fourth.wildcard.org", 421},
		{"third.wildcard.org", "second-example.org", 421},
		{"third.wildcard.org", "unknown-example.org", 421},
		{"fourth.wildcard.org", "fourth.wildcard.org", 302},
		{"fourth.wildcard.org", "fifth.wildcard.org", 421},
		{"", "example.org", 302},
		{"", "second-example.org", 421},
	} {
		t.Run(test.name+" asks for "+test.host, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.mustApply(answering(g.https("ns/gw/any", "", web), g.https("ns/gw/second", "second-example.org", web),
					g.https("ns/gw/wild", "*.wildcard.org", web), g.https("ns/gw/fourth", "fourth.wildcard.org", web)))
				c := g.mustDialTLS(&tls.Config{ServerName: test.name})
				for range 2 { // the connection stays
					c.send("GET / HTTP/1.1\nHost: " + test.host + "\n\n")
					if r, _ := c.response("GET"); r.StatusCode != test.status {
						g.Errorf("got %d, want %d", r.StatusCode, test.status)
					}
				}
			})
		})
	}
}

// Where no listener takes the host, the answer is 404 as in clear text.
func TestUnknownHostIs404(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.mustApply(answering(g.https("ns/gw/a", "a.example", web)))
		c := g.mustDialTLS(&tls.Config{ServerName: "a.example"})
		c.send("GET / HTTP/1.1\nHost: b.example\n\n")
		c.want(404, "404 Not Found\n")
	})
}

// Backends and clients are told of the scheme and the port of the client.
func TestHTTPSIsTold(t *testing.T) {
	onBoth(t, func(g *gateway) {
		ask := g.secured().seenTLS()
		wantLines(g, ask(get("/", "X-Forwarded-Proto: http")), []string{"X-Forwarded-Proto: https", fmt.Sprintf("X-Forwarded-Port: %d", g.addr.Port())}, nil)
	})
	inBubble(t, func(g *gateway) {
		l := g.https("ns/gw/any", "", web)
		l.BindPort, l.Port = l.Port, 443
		d := answering(l)
		d.Routes[0].Rules[0].Filters.Redirect.Hostname = ""
		d.Routes[0].Rules[0].Filters.Redirect.Path = &config.PathModifier{Full: "/new"}
		g.mustApply(d)
		c := g.mustDialTLS(nil)
		c.send(get("/"))
		if r := c.want(302, ""); r.Header.Get("Location") != "https://web.example/new" || r.Header.Get("Strict-Transport-Security") != "" {
			g.Errorf("the header is %v", r.Header)
		}
	})
}

// seenTLS is seen over TLS.
func (g *gateway) seenTLS() func(string) string {
	heads := make(chan string, 16)
	g.serve(g.origin(func(w http.ResponseWriter, r *http.Request) {
		var head bytes.Buffer
		r.Header.Write(&head)
		heads <- strings.ReplaceAll(head.String(), "\r\n", "\n")
	}), config.Rule{})
	return func(request string) string {
		g.Helper()
		c := g.mustDialTLS(nil)
		c.send(request)
		c.want(200, "")
		return <-heads
	}
}
