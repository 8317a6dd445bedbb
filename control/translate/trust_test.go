package translate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

const trusting = `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: sluice
  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: shop-tls}]}}
---
kind: Secret
metadata: {name: shop-tls}
type: kubernetes.io/tls
stringData: {tls.crt: certificate for shop.example, tls.key: key for shop.example}
`

// Who may write a ConfigMap must not have everybody parse and keep a large one, and
// clients cannot be told names that a handshake does not hold: the condition says so.
func TestAuthoritiesAreBounded(t *testing.T) {
	one := string(testPair(t, "authority.example").chain)
	for _, test := range []struct {
		name, text         string
		resolved, accepted string
	}{
		{"few", one, "ResolvedRefs", "Accepted"},
		{"largest", one + strings.Repeat("\n", config.MaxTrustBundle-len(one)), "ResolvedRefs", "Accepted"},
		{"too large", one + strings.Repeat("\n", config.MaxTrustBundle+1-len(one)), "InvalidCACertificateRef", "NoValidCACertificate"},
		{"names too long", authorityNamed(t, strings.Repeat("x", config.MaxAuthorityNames)), "TooManyAuthorities", "NoValidCACertificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			authorities := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ca"}, Data: map[string]string{"ca.crt": test.text}}
			s := snapshot.New().With(append(decode(t, trusting), snapshot.Change{Key: snapshot.KeyOf(authorities), Object: authorities}))
			translator := translate.New(translate.Options{ControllerName: controllerName})
			view := translator.Update(s, nil).View
			if err := view.Config().Validate(); err != nil {
				t.Error(err)
			}
			conditions := view.Status(snapshot.Key{Kind: snapshot.KindGateway, Namespace: "default", Name: "gw"}).Gateway.Listeners[0].Conditions
			for conditionType, reason := range map[gatewayv1.ListenerConditionType]string{gatewayv1.ListenerConditionResolvedRefs: test.resolved, gatewayv1.ListenerConditionAccepted: test.accepted} {
				if got := meta.FindStatusCondition(conditions, string(conditionType)); got.Reason != reason {
					t.Errorf("%s is %s %s: %.200s; want %s", conditionType, got.Status, got.Reason, got.Message, reason)
				}
			}
		})
	}
}

func authorityNamed(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{name}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
