package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// certificate makes a TLS Secret whose certificate ends after the time.
func certificate(t *testing.T, name string, lasts time.Duration) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lasts)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCheckWarnsOfCertificatesThatExpire(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		lasts time.Duration
		want  string
	}{
		"fresh":   {60 * day, "0 errors, 0 warnings\n"},
		"soon":    {20 * day, "warning: Secret default/soon data[tls.crt]: the certificate expires on "},
		"expired": {-time.Minute, "warning: Secret default/expired data[tls.crt]: the certificate has expired on "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret.yaml")
			if err := os.WriteFile(file, certificate(t, name, tt.lasts), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("sluice", "check", file).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte(tt.want)) {
				t.Errorf("%v; %s\nwant %q", err, out, tt.want)
			}
		})
	}
}

func TestCheckWarnsOfAuthoritiesThatExpire(t *testing.T) {
	var secret corev1.Secret
	if err := yaml.Unmarshal(certificate(t, "old", -time.Minute), &secret); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "authorities"},
		Data:       map[string]string{"ca.crt": string(secret.Data[corev1.TLSCertKey])},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "authorities.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sluice", "check", file).CombinedOutput()
	want := "authorities.yaml:3:11: warning: ConfigMap default/authorities data[ca.crt]: the certificate has expired on "
	if err != nil || !bytes.Contains(out, []byte(want)) {
		t.Errorf("%v; %s\nwant %q", err, out, want)
	}
}
