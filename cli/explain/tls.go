package explain

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/route"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// Handshake is how the client and a listener agree on TLS, before the request.
type Handshake struct {
	// ServerName is what the client asks for, empty for nothing, and Listener who
	// takes it.
	ServerName string `json:"serverName,omitempty"`
	Listener   string `json:"listener"`
	// Versions are those of TLS, the least and the greatest.
	Versions [2]string `json:"versions"`
	// Protocols are offered by ALPN, the preferred one first; h3 is where the
	// client comes by QUIC.
	Protocols    []string      `json:"protocols"`
	Certificates []Certificate `json:"certificates"`
	// Clients says whether clients are asked for a certificate, which Authorities
	// sign; empty if they are not.
	Clients     config.ClientAuth `json:"clients,omitempty"`
	Authorities []string          `json:"authorities,omitempty"`
	// Misdirected are names that a certificate covers and other listeners take:
	// requests for them on this connection are answered with 421.
	Misdirected []Misdirected `json:"misdirected,omitempty"`
}

// Certificate is one of a listener.
type Certificate struct {
	// Name says where it is from, such as secret/default/shop-tls.
	Name string `json:"name"`
	Key  string `json:"key"`
	// ShownTo are the clients that get it; none if others are better for all.
	ShownTo []string `json:"shownTo,omitempty"`
	// Names are those that it is for.
	Names []string `json:"names,omitempty"`
	// Issuers are who signed it, who signed that one's, and so on as far as the
	// chain goes; none where it has signed itself.
	Issuers []string  `json:"issuers,omitempty"`
	Begins  time.Time `json:"begins"`
	Expires time.Time `json:"expires"`
	// Faults are why clients will not trust it.
	Faults []string `json:"faults,omitempty"`
}

// Misdirected is a name of another listener than the handshake's.
type Misdirected struct {
	Name     string `json:"name"`
	Listener string `json:"listener"`
}

// Bounds of what is listed.
const (
	maxNames       = 8
	maxMisdirected = 10
)

// shake tells how the listener answers a client that asks for a name.
func shake[A any](c *config.Delta, at socket, all route.Socket[A], l *config.Listener, name string) *Handshake {
	h := &Handshake{ServerName: name, Listener: l.Name, Versions: [2]string{"1.2", "1.3"}, Protocols: []string{"h2", "http/1.1"}}
	if l.TLS != nil {
		h.Versions = [2]string{cmp.Or(l.TLS.MinVersion, h.Versions[0]), cmp.Or(l.TLS.MaxVersion, h.Versions[1])}
		if len(l.TLS.ALPN) > 0 {
			h.Protocols = l.TLS.ALPN
		}
		h.Clients, h.Authorities = l.TLS.ClientAuth, bundleNames(l.TLS.ClientCAs)
	}
	if l.Client != nil && l.Client.HTTP3 && h.Versions[1] == "1.3" { // QUIC has no other (RFC 9001 section 4.2)
		h.Protocols = append(slices.Clone(h.Protocols), "h3")
	}
	leaves := h.show(l, time.Now())
	for _, other := range namesToProbe(c, at, leaves) {
		to := all.Listener(strings.Replace(other, "*", "any-other", 1))
		if to != nil && to != l && len(h.Misdirected) < maxMisdirected && covers(leaves, other) {
			h.Misdirected = append(h.Misdirected, Misdirected{other, to.Name})
		}
	}
	return h
}

// show lists the certificates of a listener, and which clients get which. It
// returns the leaves.
func (h *Handshake) show(l *config.Listener, now time.Time) (leaves []*x509.Certificate) {
	var shown tlsconn.Certificates
	for i := range l.Certificates {
		pair, err := l.Certificates[i].Pair()
		if err != nil {
			return nil // then the listener is not served, as its status says
		}
		shown, leaves = append(shown, tlsconn.NewCertificate(pair)), append(leaves, pair.Leaf)
		h.Certificates = append(h.Certificates, describeCertificate(l.Certificates[i].Name, pair, h.ServerName, now))
	}
	for _, client := range clients {
		hello := client.hello
		hello.ServerName = h.ServerName
		if pair := shown.Pick(&hello); pair != nil {
			c := &h.Certificates[slices.Index(leaves, pair.Leaf)]
			c.ShownTo = append(c.ShownTo, client.name)
		}
	}
	return leaves
}

// clients are those that a listener with several certificates tells apart.
var clients = []struct {
	name  string
	hello tls.ClientHelloInfo
}{
	{"clients that know ECDSA", hello(tls.PSSWithSHA256, tls.PKCS1WithSHA256, tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519)},
	{"clients that know RSA only", hello(tls.PSSWithSHA256, tls.PKCS1WithSHA256)},
}

func hello(schemes ...tls.SignatureScheme) tls.ClientHelloInfo {
	h := tls.ClientHelloInfo{
		SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		SupportedCurves:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		SupportedPoints:   []uint8{0},
		SignatureSchemes:  schemes,
	}
	for _, c := range tls.CipherSuites() {
		h.CipherSuites = append(h.CipherSuites, c.ID)
	}
	return h
}

func describeCertificate(from string, pair *tls.Certificate, asked string, now time.Time) Certificate {
	leaf := pair.Leaf
	c := Certificate{Name: from, Key: describeKey(leaf), Names: describeNames(leaf), Issuers: issuersOf(pair), Begins: leaf.NotBefore, Expires: leaf.NotAfter}
	switch {
	case now.After(leaf.NotAfter):
		c.Faults = append(c.Faults, "has expired")
	case now.Before(leaf.NotBefore):
		c.Faults = append(c.Faults, "is not valid before "+leaf.NotBefore.UTC().Format(time.DateOnly))
	}
	if asked != "" && leaf.VerifyHostname(asked) != nil {
		c.Faults = append(c.Faults, "is not for "+asked)
	}
	return c
}

func describeKey(leaf *x509.Certificate) string {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return leaf.PublicKeyAlgorithm.String()
}

func describeNames(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if more := len(names) - maxNames; more > 0 {
		names = append(names[:maxNames], fmt.Sprintf("%d more", more))
	}
	return names
}

// issuersOf are the issuers in the chain as it is sent, but for one that has
// signed itself.
func issuersOf(pair *tls.Certificate) (issuers []string) {
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil || string(c.RawIssuer) == string(c.RawSubject) {
			break
		}
		issuers = append(issuers, c.Issuer.String())
	}
	return issuers
}

// namesToProbe are the names that other listeners of the socket and the
// certificates have.
func namesToProbe(c *config.Delta, at socket, leaves []*x509.Certificate) (names []string) {
	for _, l := range c.Listeners {
		if l.Protocol == config.ProtocolHTTPS && l.Hostname != "" && slices.Contains(l.Binds(), at.bind) {
			names = append(names, l.Hostname)
		}
	}
	for _, leaf := range leaves {
		for _, name := range leaf.DNSNames {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func covers(leaves []*x509.Certificate, name string) bool {
	name = strings.Replace(name, "*", "any-other", 1)
	return slices.ContainsFunc(leaves, func(leaf *x509.Certificate) bool { return leaf.VerifyHostname(name) == nil })
}
