package tlsconn

import (
	"crypto/tls"
	"sync/atomic"
)

// Certificate is what a listener shows: a chain, its key and, where there is
// one, what its authority says of it today. It is safe for concurrent use.
type Certificate struct {
	shown atomic.Pointer[tls.Certificate]
}

// NewCertificate makes one of a parsed pair, which is not to be changed.
func NewCertificate(pair *tls.Certificate) *Certificate {
	c := new(Certificate)
	c.shown.Store(pair)
	return c
}

// Pair is what is shown now. It is not to be changed.
func (c *Certificate) Pair() *tls.Certificate { return c.shown.Load() }

// Staple has the next handshakes show a response of OCSP (RFC 6066 section 8);
// nil takes it away. One goroutine at a time calls it.
func (c *Certificate) Staple(response []byte) {
	next := *c.shown.Load()
	next.OCSPStaple = response
	c.shown.Store(&next)
}

// Certificates are what a listener shows, in the order of preference.
type Certificates []*Certificate

// Pick returns the first certificate that the client can use and that has the
// name it asks for; else the first that it can use; else the first.
func (cs Certificates) Pick(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(cs) == 0 {
		return nil
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, asked := range []*tls.ClientHelloInfo{hello, &nameless} {
		for _, c := range cs {
			if pair := c.Pair(); asked.SupportsCertificate(pair) == nil {
				return pair
			}
		}
	}
	return cs[0].Pair()
}
