package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"runtime"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

// Listeners that show the same certificate share it, and what no listener shows
// any more is let go.
func TestKeyringSharesCertificates(t *testing.T) {
	ring := newKeyring(Options{}.withDefaults())
	one, other := newCertificate(t), newCertificate(t)
	a, err := ring.certificate(&one)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := ring.certificate(&one)
	c, _ := ring.certificate(&other)
	if a != b || a == c {
		t.Error("equal certificates are not shared, or different ones are")
	}
	runtime.KeepAlive(c)
	for range 3 * minSweep {
		fresh := newCertificate(t)
		if _, err := ring.certificate(&fresh); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	if n := len(ring.certificates.known); n > 2*minSweep {
		t.Errorf("%d certificates are known, most of which nobody shows", n)
	}
	if d, _ := ring.certificate(&one); d != a {
		t.Error("a certificate in use was forgotten")
	}
}

func newCertificate(t *testing.T) config.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return config.Certificate{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}
