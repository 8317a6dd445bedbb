package cli_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certificates puts certificates into variables, in PEM and base64 as Secrets have
// them: $AUTHORITY, and $NAME_CRT and $NAME_KEY for each NAME:
//
//	SHOP      for *.shop.example, signed by INTERMEDIATE, which AUTHORITY signed
//	SHOPRSA   the same with a key of RSA
//	REVERSED  SHOP's, with its chain in the wrong order behind the leaf
//	ELSE      for else.example, signed by AUTHORITY
//	EXPIRED   for *.shop.example, of the year 2020
func certificates(ts *testscript.TestScript, neg bool, args []string) {
	authority := sign(ts, nil, x509.Certificate{Subject: pkix.Name{CommonName: "Authority"}, IsCA: true})
	intermediate := sign(ts, authority, x509.Certificate{Subject: pkix.Name{CommonName: "Intermediate"}, IsCA: true})
	shop := x509.Certificate{Subject: pkix.Name{CommonName: "shop"}, DNSNames: []string{"*.shop.example"}}
	expired := shop
	expired.NotAfter = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	viaRSA := shop
	viaRSA.PublicKeyAlgorithm = x509.RSA

	ts.Setenv("AUTHORITY", base64.StdEncoding.EncodeToString(authority.chain()))
	good := sign(ts, intermediate, shop)
	store(ts, "SHOP", good.chain(intermediate), good)
	store(ts, "REVERSED", good.chain(authority, intermediate), good)
	second := sign(ts, intermediate, viaRSA)
	store(ts, "SHOPRSA", second.chain(intermediate), second)
	elsewhere := sign(ts, authority, x509.Certificate{Subject: pkix.Name{CommonName: "else"}, DNSNames: []string{"else.example"}})
	store(ts, "ELSE", elsewhere.chain(), elsewhere)
	old := sign(ts, authority, expired)
	store(ts, "EXPIRED", old.chain(), old)
}

// identity is a certificate with its key.
type identity struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// sign makes a certificate that by signs, or it itself where by is nil.
func sign(ts *testscript.TestScript, by *identity, template x509.Certificate) *identity {
	var key crypto.Signer
	var err error
	if template.PublicKeyAlgorithm == x509.RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	ts.Check(err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.BasicConstraintsValid = true
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	own := &identity{&template, key}
	if by == nil {
		by = own
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.certificate, key.Public(), by.key)
	ts.Check(err)
	own.certificate, err = x509.ParseCertificate(der)
	ts.Check(err)
	return own
}

// chain is the certificate and those of others, in PEM.
func (i *identity) chain(others ...*identity) (text []byte) {
	for _, one := range append([]*identity{i}, others...) {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.certificate.Raw})...)
	}
	return text
}

func store(ts *testscript.TestScript, name string, chain []byte, i *identity) {
	key, err := x509.MarshalPKCS8PrivateKey(i.key)
	ts.Check(err)
	ts.Setenv(name+"_CRT", base64.StdEncoding.EncodeToString(chain))
	ts.Setenv(name+"_KEY", base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}
