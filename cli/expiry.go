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

// expiring finds certificates that are about to expire or have done so. It is
// no part of the translation, which has no clock.
func expiring(s *control.State, now time.Time) []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	for secret := range snapshot.Of[*corev1.Secret](s.Snapshot) {
		certificate := leaf(secret.Data[corev1.TLSCertKey])
		if certificate == nil || now.Add(expiryNotice).Before(certificate.NotAfter) {
			continue
		}
		found = append(found, s.Locate(expiryFinding(snapshot.KeyOf(secret), certificate.NotAfter, now)))
	}
	return found
}

func expiryFinding(key snapshot.Key, end, now time.Time) diagnostic.Diagnostic {
	what := "expires"
	if end.Before(now) {
		what = "has expired"
	}
	return diagnostic.Diagnostic{
		Severity: diagnostic.Warning,
		Object:   key,
		Field:    "data[" + corev1.TLSCertKey + "]",
		Message:  fmt.Sprintf("the certificate %s on %s", what, end.UTC().Format(time.DateTime+" UTC")),
		Fix:      "renew it",
	}
}

// leaf is the first certificate of a chain in PEM; nil if there is none that can
// be read, of which others tell.
func leaf(chain []byte) *x509.Certificate {
	for {
		block, rest := pem.Decode(chain)
		switch {
		case block == nil:
			return nil
		case block.Type == "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil
			}
			return certificate
		}
		chain = rest
	}
}
