package tlsconn

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ClientAuth says whether clients are asked for a certificate.
type ClientAuth uint8

// The ways of it.
const (
	// NoCertificate asks for none.
	NoCertificate ClientAuth = iota
	// ValidOnly refuses clients without one that the authorities have signed.
	ValidOnly
	// InsecureFallback asks for one and lets everybody in.
	InsecureFallback
)

// Authorities sign certificates of clients. They are immutable.
type Authorities struct {
	pool  *x509.CertPool
	known map[string]bool // by their DER
	sum   [sha256.Size]byte
}

// maxNames bounds the names of the authorities, in bytes: clients are sent them
// all, in a list that has a length of 16 bits (RFC 8446 section 4.2.4).
const maxNames = 48 << 10

// NewAuthorities trusts the certificates. Without any, nobody is trusted.
func NewAuthorities(certificates []*x509.Certificate) (*Authorities, error) {
	a := &Authorities{pool: x509.NewCertPool(), known: make(map[string]bool)}
	sum, names := sha256.New(), 0
	for _, c := range certificates {
		if a.known[string(c.Raw)] {
			continue
		}
		a.known[string(c.Raw)] = true
		a.pool.AddCert(c)
		sum.Write(c.Raw)
		names += len(c.RawSubject) + 2
	}
	if names > maxNames {
		return nil, fmt.Errorf("the names of %d authorities have more than %d bytes, which a handshake cannot hold", len(a.known), maxNames)
	}
	sum.Sum(a.sum[:0])
	return a, nil
}

// nobody is trusted where no authorities are named. A nil pool would stand for
// those of the system.
var nobody, _ = NewAuthorities(nil)

// ask puts the question for a certificate into settings.
//
// Sessions with certificates are never resumed, which SessionTicketsDisabled
// sees to: a ticket would carry the verdict of another handshake, perhaps one by
// another listener or by authorities that are trusted no more. VerifyConnection,
// unlike crypto/tls's own verification, would run in a resumption too, and holds
// that.
func (p *Profile) ask(settings *tls.Config) {
	if p.authorities == nil {
		p.authorities = nobody
	}
	switch p.clients {
	case ValidOnly:
		settings.ClientAuth, settings.ClientCAs = tls.RequireAndVerifyClientCert, p.authorities.pool
		settings.VerifyConnection = verifiedNow
	case InsecureFallback:
		settings.ClientAuth, settings.ClientCAs = tls.RequestClientCert, p.authorities.pool
	}
}

func verifiedNow(state tls.ConnectionState) error {
	if state.DidResume || len(state.VerifiedChains) == 0 {
		return errors.New("the client's certificate was not verified in this handshake")
	}
	return nil
}

// chainsOf are the chains from the client's certificate to the authorities, none
// where it is not valid.
func (p *Profile) chainsOf(state tls.ConnectionState) [][]*x509.Certificate {
	if p.clients != InsecureFallback || len(state.PeerCertificates) == 0 {
		return state.VerifiedChains
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: p.authorities.pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	return chains
}

// Peer is what a handshake has shown of a client.
type Peer struct {
	name   string
	chains [][]*x509.Certificate // from its certificate to authorities
}

// ServerName is what the client asked for, in lower case; often empty.
func (c *Peer) ServerName() string { return c.name }

// Admits reports whether the profile would let a client in, as
// far as its certificate goes: one that another profile of the listener took may
// come from an authority that is trusted no more. nil admits nobody.
func (p *Profile) Admits(c *Peer) bool {
	return p != nil && (p.clients != ValidOnly || p.Verifies(c) != nil)
}

// Verifies returns the certificate of a client if one of the
// profile's authorities vouches for it, else nil.
func (p *Profile) Verifies(c *Peer) *x509.Certificate {
	if p == nil || p.clients == NoCertificate {
		return nil
	}
	for _, chain := range c.chains {
		if p.authorities.known[string(chain[len(chain)-1].Raw)] {
			return chain[0]
		}
	}
	return nil
}

// Asks reports whether clients are asked for a certificate.
func (p *Profile) Asks() bool { return p.clients != NoCertificate }
