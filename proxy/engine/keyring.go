package engine

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

// keyring makes the TLS profiles of listeners. What they have in common it
// parses once: thousands of listeners may show the same certificate or trust
// the same authorities.
type keyring struct {
	certificates cache[tlsconn.Certificate]
	authorities  cache[tlsconn.Authorities]
	tickets      *tlsconn.Tickets
	stapler      *stapler
}

func newKeyring(o *Options) keyring {
	return keyring{tickets: tlsconn.NewTickets(), stapler: newStapler(o)}
}

// ticketTime is how long a key seals tickets; it opens them as long again.
const ticketTime = 12 * time.Hour

// rotate renews the key of the tickets until ctx ends.
func (k *keyring) rotate(ctx context.Context) {
	for {
		if wait(ctx, ticketTime); ctx.Err() != nil {
			return
		}
		k.tickets.Rotate()
	}
}

// profile compiles how a listener speaks TLS, nil for clear text.
func (k *keyring) profile(l *config.Listener) (*tlsconn.Profile, error) {
	if l.Protocol != config.ProtocolHTTPS {
		return nil, nil
	}
	o := &tlsconn.Options{Name: l.Name, Tickets: k.tickets}
	if l.Client != nil {
		o.Time = l.Client.Timeouts.Handshake
	}
	if len(l.Certificates) == 0 {
		return nil, errors.New("it has no certificate to show; add a certificateRef")
	}
	for i := range l.Certificates {
		c, err := k.certificate(&l.Certificates[i])
		if err != nil {
			return nil, err
		}
		k.stapler.add(l.Certificates[i].Name, c)
		o.Certificates = append(o.Certificates, c)
	}
	if l.TLS == nil {
		return tlsconn.NewProfile(o), nil
	}
	var err error
	if o.MinVersion, o.MaxVersion, o.Ciphers, err = l.TLS.Parameters(); err != nil {
		return nil, err
	}
	o.Protocols = l.TLS.ALPN
	if o.Clients = clients[l.TLS.ClientAuth]; o.Clients != tlsconn.NoCertificate {
		if o.Authorities, err = k.trusted(l.TLS.ClientCAs); err != nil {
			return nil, err
		}
	}
	return tlsconn.NewProfile(o), nil
}

var clients = map[config.ClientAuth]tlsconn.ClientAuth{
	config.ClientAuthValidOnly:        tlsconn.ValidOnly,
	config.ClientAuthInsecureFallback: tlsconn.InsecureFallback,
}

// identity is what a listener's backends are shown, nil for none.
func (k *keyring) identity(l *config.Listener) (*tls.Certificate, error) {
	if l.BackendCertificate == nil {
		return nil, nil
	}
	c, err := k.certificate(l.BackendCertificate)
	if err != nil {
		return nil, fmt.Errorf("for backends: %w", err)
	}
	return c.Pair(), nil
}

func (k *keyring) certificate(c *config.Certificate) (*tlsconn.Certificate, error) {
	return k.certificates.get(sumOf(c.Chain, c.Key), func() (*tlsconn.Certificate, error) {
		pair, err := c.Pair()
		if err != nil {
			return nil, fmt.Errorf("certificate %q: %w", c.Name, err)
		}
		return tlsconn.NewCertificate(pair), nil
	})
}

func (k *keyring) trusted(bundles []config.TrustBundle) (*tlsconn.Authorities, error) {
	all := make([][]byte, len(bundles))
	for i := range bundles {
		all[i] = bundles[i].PEM
	}
	return k.authorities.get(sumOf(all...), func() (*tlsconn.Authorities, error) {
		var certificates []*x509.Certificate
		for i := range bundles {
			some, err := bundles[i].Certificates()
			if err != nil {
				return nil, fmt.Errorf("trust bundle %q: %w", bundles[i].Name, err)
			}
			certificates = append(certificates, some...)
		}
		return tlsconn.NewAuthorities(certificates)
	})
}

// sumOf identifies contents that stand together.
func sumOf(contents ...[]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, c := range contents {
		h.Write(binary.AppendUvarint(nil, uint64(len(c))))
		h.Write(c)
	}
	h.Sum(sum[:0])
	return sum
}
