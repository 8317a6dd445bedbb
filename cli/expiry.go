package cli

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// expiryNotice is how long before its end a certificate is worth a warning:
// about when automatic renewal should have replaced one of 90 days.
const expiryNotice = 30 * 24 * time.Hour

// expiring finds certificates that are about to expire or have done so: those of
// listeners and of authorities. It is no part of the translation, which has no
// clock.
func expiring(s *control.State, now time.Time) []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	look := func(object snapshot.Object, key string, text []byte) {
		for i, certificate := range certificates(text) {
			if now.Add(expiryNotice).Before(certificate.NotAfter) {
				continue
			}
			what := "the certificate"
			if i > 0 {
				what = fmt.Sprintf("certificate %d", i+1)
			}
			found = append(found, s.Locate(expiryFinding(snapshot.KeyOf(object), key, what, certificate.NotAfter, now)))
			return // one is enough to have somebody look at all of them
		}
	}
	for secret := range snapshot.Of[*corev1.Secret](s.Snapshot) {
		look(secret, corev1.TLSCertKey, secret.Data[corev1.TLSCertKey])
	}
	for authorities := range snapshot.Of[*corev1.ConfigMap](s.Snapshot) {
		const key = corev1.ServiceAccountRootCAKey
		look(authorities, key, append([]byte(authorities.Data[key]), authorities.BinaryData[key]...))
	}
	return found
}

func expiryFinding(object snapshot.Key, key, what string, end, now time.Time) diagnostic.Diagnostic {
	will := "expires"
	if end.Before(now) {
		will = "has expired"
	}
	return diagnostic.Diagnostic{
		Severity: diagnostic.Warning,
		Object:   object,
		Field:    "data[" + key + "]",
		Message:  fmt.Sprintf("%s %s on %s", what, will, end.UTC().Format(time.DateTime+" UTC")),
		Fix:      "renew it",
	}
}

// certificates are those of a text in PEM, as far as they can be read; of others
// the translation tells.
func certificates(text []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, certificate)
		}
	}
}
