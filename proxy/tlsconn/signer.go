package tlsconn

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"io"
)

// aside is an RSA key whose signatures are made beside the loop. Each takes a
// millisecond, or several with 4,096 bits, in which the loop could answer
// dozens of requests. Keys of other types take less than the way there.
type aside struct {
	*rsa.PrivateKey
	turns *turns
}

// Sign implements crypto.Signer. One signature at a time is made beside a loop,
// and no other handshake begins its sums meanwhile: a flood of handshakes would
// else leave the loop one goroutine among hundreds.
func (a aside) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) (signature []byte, err error) {
	if !a.turns.leave() {
		return a.PrivateKey.Sign(random, digest, o)
	}
	a.turns.loop.Await(func() { signature, err = a.PrivateKey.Sign(random, digest, o) })
	a.turns.back()
	return signature, err
}

// withSigner returns a certificate whose key works as the loop wants it.
func (s *Server) withSigner(c *tls.Certificate) *tls.Certificate {
	if key, ok := c.PrivateKey.(*rsa.PrivateKey); ok {
		own := *c
		own.PrivateKey = aside{key, &s.turns}
		return &own
	}
	return c
}
