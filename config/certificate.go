package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// maxCertificate bounds a chain and a key in PEM, each, in bytes: what a Secret
// of Kubernetes may hold.
const maxCertificate = 1 << 20

// Pair parses the chain and the key and checks that they belong together. The
// error says nothing of the key's content.
func (c *Certificate) Pair() (*tls.Certificate, error) {
	if len(c.Chain) > maxCertificate || len(c.Key) > maxCertificate {
		return nil, errors.New("the chain or the key is larger than 1 MiB")
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
