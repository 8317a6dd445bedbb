package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// trusting is TLS with these authorities.
func trusting(hostname string, cas ...*authority) *config.BackendTLS {
	t := &config.BackendTLS{Hostname: hostname}
	for _, a := range cas {
		t.CAs = append(t.CAs, a.TrustBundle)
	}
	return t
}

func withSANs(t *config.BackendTLS, sans ...config.SubjectAltName) *config.BackendTLS {
	t.SANs = sans
	return t
}

func hostname(name string) config.SubjectAltName { return config.SubjectAltName{Hostname: name} }
func uri(text string) config.SubjectAltName      { return config.SubjectAltName{URI: text} }

// setTLS puts a backend that is spoken to in TLS in force.
func (w *world) setTLS(t *config.BackendTLS, endpoints ...config.Endpoint) *upstream.Backend {
	return w.apply(&config.Backend{Name: "web", Protocol: config.AppHTTP, TLS: t, Endpoints: endpoints})
}

func (w *world) apply(b *config.Backend) *upstream.Backend {
	w.backends.Apply(&config.Delta{Backends: []*config.Backend{b}})
	return w.backends.Backend(b.Name)
}

// getAs takes a connection to b's next endpoint.
func (w *world) getAs(b *upstream.Backend, want upstream.Want) (c *upstream.Conn, reused bool, err error) {
	w.do(func() {
		var e *upstream.Endpoint
		if e, err = w.pool.Pick(b, nil); err == nil {
			c, reused, err = w.pool.Get(e, want)
		}
	})
	return c, reused, err
}

// echoTLS answers what it gets, in TLS, and tells the state of each connection
// whose handshake is done.
func (w *world) echoTLS(address string, settings *tls.Config) func() []tls.ConnectionState {
	var states []tls.ConnectionState
	o := w.origin(address)
	o.serve = func(c net.Conn) {
		s := tls.Server(c, settings)
		if s.Handshake() != nil {
			c.Close()
			return
		}
		o.mu.Lock()
		states = append(states, s.ConnectionState())
		o.mu.Unlock()
		io.Copy(s, s)
	}
	return func() []tls.ConnectionState {
		o.accepted()
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.Clone(states)
	}
}

// exchange sends a byte and gets it back, and with it what else came.
func (w *world) exchange(c *upstream.Conn) error {
	var err error
	w.do(func() {
		c.SetReadDeadline(w.loop.Now().Add(time.Second))
		if _, err = c.Write([]byte("x")); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	})
	return err
}

// BackendTLSPolicyValidation, rule by rule.
func TestVerification(t *testing.T) {
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	between := certify(ours, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "between"}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	broken := func(fill func(*x509.Certificate)) tls.Certificate {
		return ours.sign(func(c *x509.Certificate) {
			c.DNSNames = []string{"shop.example"}
			fill(c)
		})
	}
	system := &config.BackendTLS{Hostname: "shop.example", System: true}
	both := trusting("shop.example", ours)
	both.System = true
	for _, test := range []struct {
		rule  string
		tls   *config.BackendTLS
		shown tls.Certificate
		fails string // what the error says; empty for none
	}{
		{"hostname is in the certificate", trusting("shop.example", ours), ours.issue("a.example", "shop.example"), ""},
		{"hostname is in the certificate in another case", trusting("shop.example", ours), ours.issue("SHOP.example"), ""},
		{"hostname is one of a wildcard's", trusting("shop.example", ours), ours.issue("*.example"), ""},
		{"hostname is not in the certificate", trusting("shop.example", ours), ours.issue("a.example", "b.example"),
			`the certificate is not for "shop.example": it has "a.example", "b.example"`},
		{"hostname is two labels below a wildcard", trusting("a.shop.example", ours), ours.issue("*.example"), `it has "*.example"`},
		{"hostname is the common name alone", trusting("leaf", ours), ours.issue(), `the certificate is not for "leaf": it has no name`},

		{"caCertificateRefs have not signed", trusting("shop.example", ours), theirs.issue("shop.example"),
			`the certificate of "CN=leaf", which "CN=theirs" issued, is not valid with configmap/default/ours: x509: certificate signed by unknown authority`},
		{"one of caCertificateRefs has signed", trusting("shop.example", theirs, ours), ours.issue("shop.example"), ""},
		{"caCertificateRefs have signed an intermediate", trusting("shop.example", ours), between.issue("shop.example"), ""},
		{"caCertificateRefs do not include the system's", trusting("shop.example", ours), public.issue("shop.example"), "unknown authority"},
		{"wellKnownCACertificates have signed", system, public.issue("shop.example"), ""},
		{"wellKnownCACertificates have not signed", system, ours.issue("shop.example"), "is not valid with the system's authorities"},
		{"wellKnownCACertificates beside others", both, ours.issue("shop.example"), ""},
		{"the certificate has expired", trusting("shop.example", ours),
			broken(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }), "expired or is not yet valid"},
		{"the certificate is for clients", trusting("shop.example", ours),
			broken(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "incompatible key usage"},

		{"subjectAltNames in place of the hostname", withSANs(trusting("shop.example", ours), hostname("a.example")), ours.issue("a.example"), ""},
		{"subjectAltNames: the hostname alone is not enough", withSANs(trusting("shop.example", ours), hostname("a.example"), uri("spiffe://x/y")), ours.issue("shop.example"),
			`the certificate has none of "a.example", "spiffe://x/y": it has "shop.example"`},
		{"subjectAltNames: one of them is enough", withSANs(trusting("shop.example", ours), hostname("b.example"), uri("spiffe://x/y"), hostname("a.example")), ours.issue("a.example"), ""},
		{"subjectAltNames do not replace authorities", withSANs(trusting("shop.example", ours), hostname("a.example")), theirs.issue("a.example"), "unknown authority"},
		{"subjectAltNames: a DNS name of the certificate's wildcard", withSANs(trusting("shop.example", ours), hostname("a.example")), ours.issue("*.example"), ""},
		{"subjectAltNames: a wildcard's name", withSANs(trusting("shop.example", ours), hostname("*.example")), ours.issue("A.Example"), ""},
		{"subjectAltNames: the wildcard itself", withSANs(trusting("shop.example", ours), hostname("*.example")), ours.issue("*.example"), ""},
		{"subjectAltNames: a wildcard is one label", withSANs(trusting("shop.example", ours), hostname("*.example")), ours.issue("a.b.example"), `none of "*.example"`},
		{"subjectAltNames: a wildcard is not its domain", withSANs(trusting("shop.example", ours), hostname("*.example")), ours.issue("example"), `none of "*.example"`},
		{"subjectAltNames: a wildcard is no part of a label", withSANs(trusting("shop.example", ours), hostname("*.example")), ours.issue("a*.example"), `none of "*.example"`},
		{"subjectAltNames: a URI", withSANs(trusting("shop.example", ours), uri("spiffe://x/ns/a")), ours.issueURI("spiffe://x/other", "spiffe://x/ns/a"), ""},
		{"subjectAltNames: a URI's prefix", withSANs(trusting("shop.example", ours), uri("spiffe://x/ns/a")), ours.issueURI("spiffe://x/ns/ab"), `it has "spiffe://x/ns/ab"`},
		{"subjectAltNames: a URI is no DNS name", withSANs(trusting("shop.example", ours), uri("shop.example")), ours.issue("shop.example"), `none of "shop.example"`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				states := w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{test.shown}})
				b := w.setTLS(test.tls, endpoint("10.0.0.1:443"))
				c, _, err := w.getAs(b, upstream.Want{})
				if test.fails != "" {
					if err == nil || !strings.Contains(err.Error(), test.fails) || upstream.Reason(err) != "tls_verify" {
						t.Errorf("got %v (%s), want %q", err, upstream.Reason(err), test.fails)
					}
					if got := b.Counters(); got.Active != 0 || got.ConnectFailures != 1 {
						t.Errorf("counters %+v", got)
					}
					return
				}
				if err != nil || w.exchange(c) != nil {
					t.Fatal(err)
				}
				if got := states()[0]; got.ServerName != test.tls.Hostname {
					t.Errorf("the server name is %q, want %q", got.ServerName, test.tls.Hostname)
				}
				w.put(c)
				if _, reused, _ := w.getAs(b, upstream.Want{}); !reused {
					t.Error("the connection was not reused")
				}
			})
		})
	}
}

// An error of a certificate with many and long names is short.
func TestVerificationErrorsAreBounded(t *testing.T) {
	ours := newAuthority("ours")
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("%d.%s.example", i, strings.Repeat("a", 150)))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue(names...)}})
		_, _, err := w.getAs(w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443")), upstream.Want{})
		if err == nil || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "and 192 more") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHandshakeFails(t *testing.T) {
	ours := newAuthority("ours")
	shown := []tls.Certificate{ours.issue("shop.example")}
	for _, test := range []struct {
		name   string
		serve  func(net.Conn)
		reason string
		after  time.Duration
	}{
		{"clear text", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "tls_handshake", 0},
		{"an end", func(c net.Conn) { c.Close() }, "tls_handshake", 0},
		{"TLS 1.1", func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: shown, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		}, "tls_handshake", 0},
		{"a certificate of ours that it needs", func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: shown, MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}).Handshake()
		}, "tls_handshake", 0},
		{"another protocol", func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: shown, NextProtos: []string{"acme-tls/1"}}).Handshake()
		}, "alpn", 0},
		{"silence", func(net.Conn) {}, "timeout", upstream.DefaultLimits.ConnectTimeout},
	} {
		for _, protocol := range []config.AppProtocol{config.AppHTTP, config.AppWebSocket} { // with a shared connect, and with one of its own
			t.Run(test.name+" "+string(protocol), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					o := w.origin("10.0.0.1:443")
					o.serve = test.serve
					b := w.apply(&config.Backend{Name: "web", Protocol: protocol, TLS: trusting("shop.example", ours), Endpoints: []config.Endpoint{endpoint("10.0.0.1:443")}})
					began := time.Now()
					_, _, err := w.getAs(b, upstream.Want{})
					if upstream.Reason(err) != test.reason || time.Since(began) != test.after {
						t.Errorf("got %v (%s) after %v, want %s after %v", err, upstream.Reason(err), time.Since(began), test.reason, test.after)
					}
					w.settle()
					if got := b.Counters(); got.Active != 0 || got.ConnectFailures != 1 || o.open() != 0 {
						t.Errorf("counters %+v, %d open", got, o.open())
					}
				})
			})
		}
	}
}

// The deadline of the connect is not that of what follows.
func TestTLSIsWithoutDeadlines(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}})
		c, _, err := w.getAs(w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443")), upstream.Want{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * upstream.DefaultLimits.ConnectTimeout)
		w.do(func() {
			if _, err = c.Write([]byte("x")); err == nil {
				_, err = c.Read(make([]byte, 1))
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What cannot be verified is never spoken to.
func TestTrustThatCannotBeParsed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		broken := func() *config.BackendTLS {
			return &config.BackendTLS{Hostname: "shop.example", CAs: []config.TrustBundle{{Name: "configmap/default/ca", PEM: []byte("-----BEGIN")}}}
		}
		b := w.setTLS(broken(), endpoint("10.0.0.1:443"))
		w.setTLS(broken(), endpoint("10.0.0.1:443"), endpoint("10.0.0.2:443"))
		if f := b.Fault(); f == nil || f.Status != 500 || !strings.Contains(f.Reason, "configmap/default/ca") {
			t.Errorf("the fault is %+v", f)
		}
		if _, err := w.pool.Pick(b, nil); err != upstream.ErrNoEndpoints {
			t.Errorf("picked, %v", err)
		}
		if logged := w.log.all(); len(logged) != 1 {
			t.Errorf("logged %q", logged)
		}
		w.setTLS(trusting("shop.example", newAuthority("ours")), endpoint("10.0.0.1:443"))
		if _, err := w.pool.Pick(b, nil); err != nil || b.Fault() != nil {
			t.Errorf("after it was mended: %v, %+v", err, b.Fault())
		}
	})
}

func TestFaultOfTheConfiguration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		fault := &config.Fault{Status: 502, Reason: "BackendTLSPolicy default/p has no CA"}
		b := w.apply(&config.Backend{Name: "web", Protocol: config.AppHTTP, Fault: fault, Endpoints: []config.Endpoint{endpoint("10.0.0.1:443")}})
		if _, err := w.pool.Pick(b, nil); err != upstream.ErrNoEndpoints || b.Fault() != fault {
			t.Errorf("picked with %v, fault %+v", err, b.Fault())
		}
	})
}

// A session that is resumed has the certificate of the one before, which may
// not be valid any more.
func TestResumptionVerifiesAgain(t *testing.T) {
	ours := newAuthority("ours")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				short := ours.sign(func(c *x509.Certificate) {
					c.DNSNames, c.NotAfter = []string{"shop.example"}, time.Now().Add(time.Hour)
				})
				settings := &tls.Config{MaxVersion: version}
				shown := short
				settings.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &shown, nil }
				states := w.echoTLS("10.0.0.1:443", settings)
				b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
				for range 2 {
					c, _, err := w.getAs(b, upstream.Want{})
					if err != nil || w.exchange(c) != nil {
						t.Fatal(err)
					}
					w.discard(c)
				}
				if got := states(); got[0].DidResume || !got[1].DidResume {
					t.Fatal("the second connection did not resume the session of the first")
				}
				time.Sleep(2 * time.Hour)
				if _, _, err := w.getAs(b, upstream.Want{}); upstream.Reason(err) != "tls_verify" {
					t.Errorf("with a certificate that has expired: %v", err)
				}
				shown = ours.issue("shop.example")
				if c, _, err := w.getAs(b, upstream.Want{}); err != nil || w.exchange(c) != nil {
					t.Errorf("with a new certificate: %v", err)
				}
			})
		})
	}
}

// Sessions and connections are those of a configuration and of an identity.
func TestTLSOfAnotherConfigurationIsNotReused(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		states := w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example", "a.example")}})
		for _, hostname := range []string{"shop.example", "a.example"} {
			c, reused, err := w.getAs(w.setTLS(trusting(hostname, ours), endpoint("10.0.0.1:443")), upstream.Want{})
			if err != nil || reused || w.exchange(c) != nil {
				t.Fatalf("%s: reused: %v, %v", hostname, reused, err)
			}
			w.put(c)
		}
		c, _, _ := w.getAs(w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443")), upstream.Want{})
		w.discard(c)
		for i, s := range states() {
			if s.DidResume {
				t.Errorf("connection %d resumed a session", i)
			}
		}
		if w.idle() != 0 {
			t.Error("a connection of before is kept")
		}
		c, _, _ = w.getAs(w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443")), upstream.Want{})
		w.exchange(c)
		w.put(c)
		if _, reused, _ := w.getAs(w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.2:443"), endpoint("10.0.0.1:443")), upstream.Want{}); reused {
			t.Error("another endpoint's connection was reused")
		}
		if w.idle() != 1 {
			t.Error("a configuration that did not change ended a connection")
		}
	})
}

// Gateway, spec.tls.backend.clientCertificateRef.
func TestIdentity(t *testing.T) {
	ours := newAuthority("ours")
	one, two := ours.issue("one"), ours.issue("two")
	inWorld(t, func(t *testing.T, w *world) {
		states := w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}, ClientAuth: tls.RequestClientCert})
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		for round := range 2 {
			for _, identity := range []*tls.Certificate{nil, &one, &two} {
				c, reused, err := w.getAs(b, upstream.Want{Identity: identity})
				if err != nil || reused || w.exchange(c) != nil {
					t.Fatalf("reused: %v, %v", reused, err)
				}
				got := states()[len(states())-1].PeerCertificates
				if (identity == nil) != (len(got) == 0) || identity != nil && !got[0].Equal(identity.Leaf) {
					t.Errorf("round %d: the endpoint was shown %d certificates, or another's", round, len(got))
				}
				w.put(c)
				again, reused, _ := w.getAs(b, upstream.Want{Identity: identity})
				if !reused || again != c {
					t.Error("the connection was not reused by the same identity")
				}
				w.discard(again)
			}
		}
		clear := w.set("clear", endpoint("10.0.0.1:443"))
		c, _, _ := w.getAs(clear, upstream.Want{Identity: &one})
		w.put(c)
		if _, reused, _ := w.getAs(clear, upstream.Want{Identity: &two}); !reused {
			t.Error("in clear text nobody sees the identity, and yet the connection was not reused")
		}
	})
}

// No byte of a handshake goes where a restricted backend must not lead.
func TestRestrictionsHoldInTLS(t *testing.T) {
	host := hostAddress(t)
	onEachEngine(t, func(t *testing.T, w *world) {
		l, accepted := listen(t, "tcp", net.JoinHostPort(host, "0"))
		b := w.apply(&config.Backend{
			Name: "web", Protocol: config.AppHTTP, Restricted: true,
			TLS: trusting("shop.example", newAuthority("ours")), Endpoints: []config.Endpoint{endpoint(l.Addr().String())},
		})
		if _, _, err := w.getAs(b, upstream.Want{}); upstream.Reason(err) != "forbidden" {
			t.Errorf("got %v", err)
		}
		if got, err := io.ReadAll(<-accepted); len(got) > 0 || err != nil {
			t.Errorf("the address got %q, %v", got, err)
		}
	})
}

// The idle timeout and an endpoint's word are heard through TLS.
func TestIdleInTLS(t *testing.T) {
	ours := newAuthority("ours")
	inWorld(t, func(t *testing.T, w *world) {
		w.echoTLS("10.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}})
		b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"))
		c, _, _ := w.getAs(b, upstream.Want{})
		w.put(c) // with the tickets unread
		synctest.Wait()
		time.Sleep(upstream.DefaultLimits.IdleTimeout - time.Second)
		if w.idle() != 1 {
			t.Error("it was not kept")
		}
		time.Sleep(time.Second)
		if w.idle() != 0 {
			t.Error("it was kept for too long")
		}
	})
}
