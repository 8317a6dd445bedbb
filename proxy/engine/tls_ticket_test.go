package engine_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// session keeps the last ticket, and offers it to whatever server: what a client
// does that attacks.
type session struct{ last *tls.ClientSessionState }

func (s *session) Get(string) (*tls.ClientSessionState, bool) { return s.last, s.last != nil }

func (s *session) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		s.last = state
	}
}

// visit connects and reads a response, which is behind the tickets.
func (s *session) visit(g *gateway, name string, version uint16) (resumed bool, err error) {
	g.Helper()
	c, err := g.dialTLS(&tls.Config{ServerName: name, ClientSessionCache: s, MaxVersion: version})
	if err != nil {
		return false, err
	}
	defer c.Close()
	fmt.Fprintf(c.Conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name)
	if _, err := c.in.ReadByte(); err != nil {
		return false, err
	}
	return c.state().DidResume, nil
}

// asking has an HTTPS listener ask its clients for certificates.
func asking(l *config.Listener, mode config.ClientAuth, authorities ...*authority) *config.Listener {
	l.TLS = &config.ListenerTLS{ClientAuth: mode}
	for i, a := range authorities {
		l.TLS.ClientCAs = append(l.TLS.ClientCAs, config.TrustBundle{Name: fmt.Sprintf("configmap/default/%d", i), PEM: a.pem})
	}
	return l
}

// A ticket is good for the listener, the server name and the policy for clients
// that it was issued under, and for nothing else: Go CVE-2025-68121 and Traefik
// GHSA-gv8r-9rw9-9697 let one host's session into another host, past its demand
// for a certificate.
func TestTicketsOpenNothingElse(t *testing.T) {
	const resumes, full, fails = "resumes", "a full handshake", "fails"
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	for name, test := range map[string]struct {
		// then is what is served when the client comes back for a name.
		then func(g *gateway, a, b *config.Listener) []*config.Listener
		back string
		want string
	}{
		"the same again":     {nil, "a.example", resumes},
		"another name of it": {nil, "also.a.example", full},
		"another listener":   {nil, "b.example", full},
		"rotated certificates": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			a.Certificates[0] = certificate(7, ecdsaKey())
			return []*config.Listener{a, b}
		}, "a.example", resumes},
		"the listener is gone": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{b, g.https("ns/gw/any", "", web)}
		}, "a.example", full},
		"another one in its place": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{b, g.https("ns/gw/c", "a.example", web)}
		}, "a.example", full},
		"it asks for a certificate now": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{asking(a, config.ClientAuthValidOnly, ours), b}
		}, "a.example", fails},
		"it asks and insists on nothing": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{asking(a, config.ClientAuthInsecureFallback, ours), b}
		}, "a.example", full},
		"another one asks": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{a, asking(b, config.ClientAuthValidOnly, ours)}
		}, "b.example", fails},
		"another one trusts others": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{a, asking(b, config.ClientAuthValidOnly, theirs)}
		}, "b.example", fails},
		"another one insists on nothing": {func(g *gateway, a, b *config.Listener) []*config.Listener {
			return []*config.Listener{a, asking(b, config.ClientAuthInsecureFallback, theirs)}
		}, "b.example", full},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s in %s", name, tls.VersionName(version)), func(t *testing.T) {
				inBubble(t, func(g *gateway) {
					made := func() (a, b *config.Listener) {
						return g.https("ns/gw/a", "a.example", web), g.https("ns/gw/b", "b.example", web)
					}
					a, b := made()
					a.Hostname = "*.example"
					g.mustApply(answering(a, b))
					client := new(session)
					if resumed, err := client.visit(g, "a.example", version); err != nil || resumed || client.last == nil {
						g.Fatalf("at first: resumed %v, %v, with a ticket %v", resumed, err, client.last != nil)
					}
					if test.then != nil {
						a, b = made()
						a.Hostname = "*.example"
						g.mustApply(answering(test.then(g, a, b)...))
					}
					got := full
					resumed, err := client.visit(g, test.back, version)
					switch {
					case err != nil:
						got = fails
					case resumed:
						got = resumes
					}
					if got != test.want {
						g.Errorf("it %s (%v), want %s", got, err, test.want)
					}
				})
			})
		}
	}
}

// A session ends with the key that sealed its ticket, which is in use for 12
// hours and known for as long again. Each visit brings another ticket, so that
// it is the age of that which counts.
func TestTicketsEndWithTheirKey(t *testing.T) {
	for _, test := range []struct {
		age     time.Duration
		resumes bool
	}{{time.Hour, true}, {13 * time.Hour, true}, {25 * time.Hour, false}} {
		inBubble(t, func(g *gateway) {
			g.mustApply(answering(g.https("ns/gw/a", "a.example", web)))
			client := new(session)
			if _, err := client.visit(g, "a.example", 0); err != nil {
				g.Fatal(err)
			}
			time.Sleep(test.age)
			if resumed, err := client.visit(g, "a.example", 0); err != nil || resumed != test.resumes {
				g.Errorf("after %v: resumed %v, %v", test.age, resumed, err)
			}
		})
	}
}

// Any worker opens what another one has sealed, on both kinds of loops.
func TestTicketsAreSharedByWorkers(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.mustApply(answering(g.https("ns/gw/a", "a.example", web)))
		client := new(session)
		for i := range 20 {
			if resumed, err := client.visit(g, "a.example", 0); err != nil || resumed != (i > 0) {
				g.Fatalf("visit %d: resumed %v, %v", i, resumed, err)
			}
		}
	})
}

// Where clients are asked for certificates there are no tickets: each handshake
// judges anew.
func TestNoTicketsWithClientCertificates(t *testing.T) {
	ours := newAuthority("ours")
	for _, mode := range []config.ClientAuth{config.ClientAuthValidOnly, config.ClientAuthInsecureFallback} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			onBoth(t, func(g *gateway) {
				g.mustApply(answering(asking(g.https("ns/gw/a", "web.example", web), mode, ours)))
				client := new(session)
				c := g.mustDialTLS(&tls.Config{ServerName: "web.example", ClientSessionCache: client, MaxVersion: version, Certificates: []tls.Certificate{ours.sign("somebody")}})
				c.send(get("/"))
				c.want(302, "")
				if client.last != nil {
					g.Errorf("%s: the client got a ticket", mode)
				}
			})
		}
	}
}
