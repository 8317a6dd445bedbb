package config

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Bounds of a chain and a key in PEM, in bytes, and of a key of RSA, in bits. Whose
// they are may be anybody who adds a listener, and a handshake must not take long
// from others: with a key of 8192 bits a signature takes a second, and a chain is
// sent at once.
const (
	maxChain = 64 << 10
	maxKey   = 16 << 10
	maxRSA   = 4096
)

// Pair parses the chain and the key and checks that they belong together. The
// error says nothing of the key's content.
func (c *Certificate) Pair() (*tls.Certificate, error) {
	if len(c.Chain) > maxChain || len(c.Key) > maxKey {
		return nil, errors.New("the chain is larger than 64 KiB, or the key than 16 KiB")
	}
	if leaf, err := c.leaf(); err == nil { // of other errors the next step tells
		if public, ok := leaf.PublicKey.(*rsa.PublicKey); ok && public.N.BitLen() > maxRSA {
			return nil, fmt.Errorf("the RSA key has %d bits, and %d is the most", public.N.BitLen(), maxRSA)
		}
	}
	pair, err := tls.X509KeyPair(c.Chain, c.Key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// leaf parses the first certificate of the chain.
func (c *Certificate) leaf() (*x509.Certificate, error) {
	for rest := c.Chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("the chain has no certificate")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}
