package engine_test

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// authority signs certificates of clients.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

func newAuthority(name string) *authority {
	a := &authority{key: ecdsaKey()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1, 0), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	a.certificate, _ = x509.ParseCertificate(der)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a client's certificate; changes may be made to it before.
func (a *authority) sign(name string, changes ...func(*x509.Certificate)) tls.Certificate {
	key := ecdsaKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1, 0), NotAfter: time.Now().Add(1000 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// showing is what a client says that shows the certificate whatever authorities
// it is asked for.
func showing(c tls.Certificate) *tls.Config {
	return &tls.Config{ServerName: "web.example", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}
}

// admits reports whether a client gets an answer.
func (g *gateway) admits(settings *tls.Config) bool {
	g.Helper()
	c, err := g.dialTLS(settings)
	if err != nil {
		return false
	}
	defer c.Close()
	io.WriteString(c.Conn, strings.ReplaceAll(get("/"), "\n", "\r\n"))
	_, err = c.in.ReadByte() // in TLS 1.3 a refusal comes after the client's side of the handshake
	return err == nil
}

// Gateway API, spec.tls.frontend: AllowValidOnly wants a certificate that an
// authority has signed, for clients and in time; AllowInsecureFallback wants none.
func TestClientsAreAskedForCertificates(t *testing.T) {
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	expired := func(c *x509.Certificate) { c.NotAfter = time.Unix(2, 0) }
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for name, test := range map[string]struct {
		client  *tls.Config
		trusted []*authority
		admits  bool // by AllowValidOnly
	}{
		"one of ours":           {showing(ours.sign("somebody")), []*authority{ours}, true},
		"one of ours, of many":  {showing(ours.sign("somebody")), []*authority{theirs, ours}, true},
		"none":                  {&tls.Config{ServerName: "web.example"}, []*authority{ours}, false},
		"one of theirs":         {showing(theirs.sign("somebody")), []*authority{ours}, false},
		"an expired one":        {showing(ours.sign("somebody", expired)), []*authority{ours}, false},
		"a server's":            {showing(ours.sign("somebody", forServers)), []*authority{ours}, false},
		"nobody is trusted":     {showing(ours.sign("somebody")), nil, false},
		"none, nobody trusted":  {&tls.Config{ServerName: "web.example"}, nil, false},
		"the authority's own":   {showing(tls.Certificate{Certificate: [][]byte{ours.certificate.Raw}, PrivateKey: ours.key}), []*authority{theirs}, false},
		"another's private key": {showing(tls.Certificate{Certificate: ours.sign("x").Certificate, PrivateKey: ecdsaKey()}), []*authority{ours}, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s in %s", name, tls.VersionName(version)), func(t *testing.T) {
				onBoth(t, func(g *gateway) {
					client := test.client.Clone()
					client.MaxVersion = version
					g.mustApply(answering(asking(g.https("ns/gw/a", "", web), config.ClientAuthValidOnly, test.trusted...)))
					if got := g.admits(client.Clone()); got != test.admits {
						g.Errorf("AllowValidOnly admits it: %v, want %v", got, test.admits)
					}
					g.mustApply(answering(asking(g.https("ns/gw/a", "", web), config.ClientAuthInsecureFallback, test.trusted...)))
					if got := g.admits(client); got != (name != "another's private key") {
						g.Errorf("AllowInsecureFallback admits it: %v", got)
					}
				})
			})
		}
	}
}

// Backends are told whose certificate was shown if that is asked for and an
// authority vouches for it; what clients themselves say of it never arrives.
func TestIdentitiesOfClientsAreTold(t *testing.T) {
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	spiffe := func(c *x509.Certificate) {
		uri, _ := url.Parse("spiffe://cluster/ns/a,b")
		c.URIs, c.DNSNames = []*url.URL{uri}, []string{"one.example", "two.example"}
		c.Subject = pkix.Name{CommonName: "some \"body\"\r\nX-Evil: yes", Organization: []string{"A, B"}}
	}
	mine := ours.sign("", spiffe)
	sum := sha256.Sum256(mine.Certificate[0])
	told := "X-Forwarded-Client-Cert: Hash=" + hex.EncodeToString(sum[:]) + `;Subject="CN=some \"body\"%0D%0AX-Evil: yes,O=A\, B"` +
		`;URI="spiffe://cluster/ns/a,b";DNS=one.example;DNS=two.example`
	const asked, notAsked = true, false
	for name, test := range map[string]struct {
		mode    config.ClientAuth
		client  *tls.Config
		header  bool
		trusted bool // the client is a proxy whose word counts
		want    []string
	}{
		"valid":                       {config.ClientAuthValidOnly, showing(mine), asked, false, []string{told}},
		"valid, not asked for":        {config.ClientAuthValidOnly, showing(mine), notAsked, false, nil},
		"valid, none is needed":       {config.ClientAuthInsecureFallback, showing(mine), asked, false, []string{told}},
		"invalid, let in":             {config.ClientAuthInsecureFallback, showing(theirs.sign("x")), asked, false, nil},
		"none, let in":                {config.ClientAuthInsecureFallback, &tls.Config{ServerName: "web.example"}, asked, false, nil},
		"no certificate is asked for": {"", showing(mine), asked, false, nil},
		"a trusted proxy":             {"", showing(mine), asked, true, []string{"x-forwarded-client-cert: Hash=forged"}},
		"a trusted proxy with its own": {config.ClientAuthValidOnly, showing(mine), asked, true,
			[]string{"x-forwarded-client-cert: Hash=forged", told}},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(g *gateway) {
				heads := make(chan string, 16)
				g.secured().serve(g.rawOrigin(func(c net.Conn, r *bufio.Reader) {
					for head := readHead(r); head != ""; head = readHead(r) {
						heads <- head
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				}), config.Rule{})
				l := asking(g.listener(), test.mode, ours)
				l.Client = &config.ClientSettings{CertificateHeader: test.header}
				if test.trusted {
					l.Client.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
				g.apply(config.Delta{Listeners: []*config.Listener{l}})
				c := g.mustDialTLS(test.client.Clone())
				for range 2 {
					c.send(get("/", "x-forwarded-client-cert: Hash=forged"))
					c.want(200, "")
					var got []string
					for line := range strings.Lines(<-heads) {
						if strings.HasPrefix(strings.ToLower(line), "x-forwarded-client-cert") {
							got = append(got, strings.TrimSpace(line))
						}
					}
					if fmt.Sprint(got) != fmt.Sprint(test.want) {
						g.Errorf("the backend was told\n%q, want\n%q", got, test.want)
					}
				}
			})
		})
	}
}

// Connections whose client would not be let in any more end, and carry nothing
// to the listener from that moment on; others stay.
func TestAuthoritiesAreRotated(t *testing.T) {
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	for name, test := range map[string]struct {
		client *tls.Config
		before func(*config.Listener)
		after  func(*config.Listener)
		stays  bool
	}{
		"another authority is added": {showing(ours.sign("x")), trust(ours), trust(ours, theirs), true},
		"its authority is removed":   {showing(ours.sign("x")), trust(ours, theirs), trust(theirs), false},
		"the other one is removed":   {showing(ours.sign("x")), trust(ours, theirs), trust(ours), true},
		"nobody is trusted":          {showing(ours.sign("x")), trust(ours), trust(), false},
		"certificates are asked for": {&tls.Config{ServerName: "web.example"}, func(*config.Listener) {}, trust(ours), false},
		"no more":                    {showing(ours.sign("x")), trust(ours), func(*config.Listener) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(g *gateway) {
				g.secured().serve(g.origin(hello), config.Rule{})
				l := g.listener()
				test.before(l)
				g.apply(config.Delta{Listeners: []*config.Listener{l}})
				idle, used := g.mustDialTLS(test.client.Clone()), g.mustDialTLS(test.client.Clone())
				for _, c := range []*client{idle, used} {
					c.send(get("/"))
					c.want(200, "hello /")
				}
				l = g.listener()
				test.after(l)
				g.apply(config.Delta{Listeners: []*config.Listener{l}})
				used.send(get("/"))
				if r, _ := used.response("GET"); (r.StatusCode == 200) != test.stays || !test.stays && r.StatusCode != 421 {
					g.Errorf("a request after it got %d", r.StatusCode)
				}
				time.Sleep(5 * time.Second)
				if n := g.engine.Connections(); n != map[bool]int{true: 2}[test.stays] {
					g.Errorf("%d connections are open", n)
				}
				synctest.Wait()
			})
		})
	}
}

// trust has a listener want certificates of the authorities.
func trust(authorities ...*authority) func(*config.Listener) {
	return func(l *config.Listener) { asking(l, config.ClientAuthValidOnly, authorities...) }
}

// A connection whose listener is gone carries nothing past the demands of the
// listener that takes the name then.
func TestListenersThatAskAreNotReachedByOldConnections(t *testing.T) {
	ours := newAuthority("ours")
	inBubble(t, func(g *gateway) {
		wild := asking(g.https("ns/gw/wild", "*.example", web), config.ClientAuthValidOnly, ours)
		g.mustApply(answering(g.https("ns/gw/a", "web.example", web), wild))
		c := g.mustDialTLS(nil)
		c.send(get("/"))
		c.want(302, "")
		g.mustApply(answering(wild))
		c.send(get("/"))
		c.want(421, "421 Misdirected Request\n")
		c.wantClosed()
	})
}

// Who shows no certificate where one is wanted is counted as such.
func TestHandshakesWithoutACertificateAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics, known := observe.NewMetrics(1, nil), newAuthority("known")
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics})
		g.mustApply(answering(asking(g.https("ns/gw/web", "web.example", web), config.ClientAuthValidOnly, known)))
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			g.dialTLS(&tls.Config{ServerName: "web.example", MaxVersion: version})
		}
		synctest.Wait()
		if got := handshakes(t, metrics); got["certificate_required"] != 2 || len(got) != 1 {
			t.Errorf("counted %v", got)
		}
	})
}
