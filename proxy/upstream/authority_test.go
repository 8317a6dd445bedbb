package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// authority signs certificates.
type authority struct {
	tls.Certificate
	config.TrustBundle
}

// public stands for the authorities of the system, which a process reads once.
var public *authority

func TestMain(m *testing.M) {
	public = newAuthority("public")
	dir, err := os.MkdirTemp("", "")
	if err == nil {
		file := filepath.Join(dir, "authorities.pem")
		err = os.WriteFile(file, public.PEM, 0o600)
		os.Setenv("SSL_CERT_FILE", file)
		os.Setenv("SSL_CERT_DIR", dir)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newAuthority(name string) *authority {
	return certify(nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
}

// issue makes a certificate for an endpoint with these DNS names.
func (a *authority) issue(names ...string) tls.Certificate {
	return a.sign(func(c *x509.Certificate) { c.DNSNames = names })
}

func (a *authority) issueURI(uris ...string) tls.Certificate {
	return a.sign(func(c *x509.Certificate) {
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	})
}

// sign makes a certificate that fill has filled in.
func (a *authority) sign(fill func(*x509.Certificate)) tls.Certificate {
	return certify(a, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "leaf"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		fill(c)
	}).Certificate
}

// certify makes a certificate that is valid in real and in fake time.
func certify(by *authority, fill func(*x509.Certificate)) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	fill(template)
	parent, signer := template, any(key)
	var chain [][]byte
	if by != nil {
		parent, signer, chain = by.Leaf, by.PrivateKey, by.Certificate.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &authority{
		Certificate: tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf},
		TrustBundle: config.TrustBundle{
			Name: "configmap/default/" + leaf.Subject.CommonName,
			PEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		},
	}
}
