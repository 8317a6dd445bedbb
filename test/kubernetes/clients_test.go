package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A ClientPolicy that turns on HTTP/3 gives the Gateway's Service a UDP port of the
// number of its HTTPS listener, to the same port of the replicas, where they speak
// it; without it the UDP port goes again. What was there before goes on.
func TestPortOfHTTP3(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("echo", 1)
	c.makeSecret("certificate", "http3.example")
	address := c.makeGateway("gateway", httpsListener("certificate"))
	c.makeRoute("route", "gateway", "http3.example", "echo")
	c.answers(address, 443, "http3.example", 200)

	before := c.portsOf("gateway")
	policy := fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: ClientPolicy
metadata: {name: clients, namespace: %s}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gateway}]
  http3: {enabled: true}
`, c.namespace)
	c.kubectl([]byte(policy), "apply", "-f", "-")
	c.eventually("the Service has a UDP port too", time.Minute, func() error {
		if got, want := c.portsOf("gateway"), []string{before[0], "UDP" + before[0][len("TCP"):]}; !slices.Equal(got, want) {
			return fmt.Errorf("its ports are %q, want %q", got, want)
		}
		return nil
	})
	c.kubectl(nil, "-n", c.namespace, "wait", "clientpolicy/clients", "--timeout=60s",
		`--for=jsonpath={.status.ancestors[0].conditions[?(@.type=="Accepted")].status}=True`)
	c.answers(address, 443, "http3.example", 200)
	transport := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "http3.example", InsecureSkipVerify: true}}
	defer transport.Close()
	c.eventually("it answers by HTTP/3", time.Minute, func() error {
		code, err := get(c.Context(), &http.Client{Transport: transport, Timeout: 5 * time.Second}, address, 443, "http3.example")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("it answers %d", code)
		}
		return err
	})

	c.kubectl([]byte(policy), "delete", "-f", "-")
	c.eventually("the Service has the TCP port only", time.Minute, func() error {
		if got := c.portsOf("gateway"); !slices.Equal(got, before) {
			return fmt.Errorf("its ports are %q", got)
		}
		return nil
	})
	c.answers(address, 443, "http3.example", 200)
}

// portsOf are the ports of the Gateway's Service, each as "TCP 443 12345".
func (c *cluster) portsOf(gateway string) (all []string) {
	c.Helper()
	for _, p := range c.serviceOf(gateway).Spec.Ports {
		all = append(all, fmt.Sprintf("%s %d %s", p.Protocol, p.Port, p.TargetPort.String()))
	}
	return all
}

func httpsListener(secret gatewayv1.ObjectName) gatewayv1.Listener {
	return gatewayv1.Listener{Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, TLS: &gatewayv1.ListenerTLSConfig{
		CertificateRefs: []gatewayv1.SecretObjectReference{{Name: secret}},
	}}
}

// Clients are let in with a certificate of the authority in a ConfigMap. Another
// authority there takes the place of the first one, and where it is missing nobody
// is let in.
func TestAuthorityOfClients(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("echo", 1)
	c.makeSecret("certificate", "clients.example")
	first, second := c.newAuthority(), c.newAuthority()
	maps := c.core.CoreV1().ConfigMaps(c.namespace)
	authorities := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "authorities"}, Data: map[string]string{"ca.crt": first.pem, "other": "for nobody"}}
	must(maps.Create(c.Context(), authorities, metav1.CreateOptions{}))(c)
	c.create("gateway", gatewayv1.GatewaySpec{
		Listeners: []gatewayv1.Listener{httpsListener("certificate")},
		TLS: &gatewayv1.GatewayTLSConfig{Frontend: &gatewayv1.FrontendTLSConfig{Default: gatewayv1.TLSConfig{
			Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: []gatewayv1.ObjectReference{{Kind: "ConfigMap", Name: "authorities"}}},
		}}},
	})
	address := c.programmed("gateway")
	c.makeRoute("route", "gateway", "clients.example", "echo")
	c.letsIn(address, first, true)
	c.letsIn(address, second, false)

	authorities.Data["ca.crt"] = second.pem
	must(maps.Update(c.Context(), authorities, metav1.UpdateOptions{}))(c)
	c.letsIn(address, second, true)
	c.letsIn(address, first, false)

	if err := maps.Delete(c.Context(), "authorities", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the listener says what is wrong", time.Minute, func() error {
		return c.listenerHas("gateway", "https", metav1.Condition{
			Type: string(gatewayv1.ListenerConditionResolvedRefs), Status: metav1.ConditionFalse, Reason: string(gatewayv1.ListenerReasonInvalidCACertificateRef),
		})
	})
	c.letsIn(address, second, false)
}

// authority signs certificates of clients.
type authority struct {
	pem    string
	client tls.Certificate
}

func (c *cluster) newAuthority() authority {
	c.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(c)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprint("authority ", time.Now().UnixNano())},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	own := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(c)
	clientKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(c)
	client := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"},
		NotBefore: template.NotBefore, NotAfter: template.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, template, &clientKey.PublicKey, key))(c)
	return authority{
		pem:    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own})),
		client: tls.Certificate{Certificate: [][]byte{client}, PrivateKey: clientKey},
	}
}

// letsIn waits until the Gateway lets the authority's client in, or does not.
func (c *cluster) letsIn(address string, a authority, want bool) {
	c.Helper()
	client := newClient("clients.example")
	// A certificate that the server does not ask for by name is sent all the same.
	client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &a.client, nil
	}
	c.eventually(fmt.Sprintf("it is let in: %v", want), time.Minute, func() error {
		code, err := get(c.Context(), client, address, 443, "clients.example")
		if let := err == nil && code == http.StatusOK; let != want {
			return fmt.Errorf("it answers %d, %v", code, err)
		}
		return nil
	})
}
