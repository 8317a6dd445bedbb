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
	listener := func(name string, c config.Certificate) *config.Listener {
		return &config.Listener{Name: name, Protocol: config.ProtocolHTTPS, Certificates: []config.Certificate{c}}
	}
	var ring keyring
	one, other := newCertificate(t), newCertificate(t)
	a, err := ring.open(listener("a", one))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := ring.open(listener("b", one))
	c, _ := ring.open(listener("c", other))
	if a[0] != b[0] || a[0] == c[0] {
		t.Error("equal certificates are not shared, or different ones are")
	}
	runtime.KeepAlive(c)
	for range 3 * minSweep {
		if _, err := ring.open(listener("d", newCertificate(t))); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	if len(ring.known) > 2*minSweep {
		t.Errorf("%d certificates are known, most of which nobody shows", len(ring.known))
	}
	if d, _ := ring.open(listener("e", one)); d[0] != a[0] {
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
