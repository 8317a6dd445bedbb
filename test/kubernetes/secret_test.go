package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A Secret that is deleted takes its listener down and no other, and heals it
// when it is back.
func TestSecretDeleted(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("echo", 1)
	c.makeSecret("certificate", "secret.example")
	address := c.makeGateway("gateway",
		gatewayv1.Listener{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType},
		gatewayv1.Listener{Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, TLS: &gatewayv1.ListenerTLSConfig{
			CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "certificate"}},
		}},
	)
	c.makeRoute("route", "gateway", "secret.example", "echo")
	c.answers(address, 443, "secret.example", 200)

	if err := c.core.CoreV1().Secrets(c.namespace).Delete(c.Context(), "certificate", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the listener says what is wrong", time.Minute, func() error {
		return c.listenerHas("gateway", "https", metav1.Condition{
			Type: string(gatewayv1.ListenerConditionResolvedRefs), Status: metav1.ConditionFalse, Reason: string(gatewayv1.ListenerReasonInvalidCertificateRef),
		})
	})
	c.answers(address, 80, "secret.example", 200)

	c.makeSecret("certificate", "secret.example")
	c.answers(address, 443, "secret.example", 200)
}

// listenerHas is nil if the listener has the condition.
func (c *cluster) listenerHas(gateway string, listener gatewayv1.SectionName, want metav1.Condition) error {
	g, err := c.gateway.GatewayV1().Gateways(c.namespace).Get(c.Context(), gateway, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, l := range g.Status.Listeners {
		if got := meta.FindStatusCondition(l.Conditions, want.Type); l.Name == listener && got != nil && got.Status == want.Status && got.Reason == want.Reason {
			return nil
		}
	}
	return fmt.Errorf("its listeners are %+v", g.Status.Listeners)
}

// makeSecret creates a certificate for the hostname that nobody signed.
func (c *cluster) makeSecret(name, hostname string) {
	c.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(c)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(c)
	private := must(x509.MarshalPKCS8PrivateKey(key))(c)
	must(c.core.CoreV1().Secrets(c.namespace).Create(c.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}, metav1.CreateOptions{}))(c)
}
