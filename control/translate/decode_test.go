package translate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const controllerName = "sluice.dev/gateway-controller"

// decode reads the objects of a case, with what a source would add: the
// GatewayClass "sluice" and the namespaces, where they are not written.
func decode(t *testing.T, text string) []snapshot.Change {
	changes := decodeChanges(t, text)
	have := map[snapshot.Key]bool{}
	for _, change := range changes {
		have[change.Key] = true
	}
	add := func(object snapshot.Object) {
		if key := snapshot.KeyOf(object); !have[key] {
			have[key] = true
			changes = append(changes, snapshot.Change{Key: key, Object: object})
		}
	}
	add(&gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "sluice", Generation: 1},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: controllerName},
	})
	for _, change := range changes {
		if namespace := change.Key.Namespace; namespace != "" {
			add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{corev1.LabelMetadataName: namespace}}})
		}
	}
	return changes
}

func decodeChanges(t *testing.T, text string) []snapshot.Change {
	var changes []snapshot.Change
	for _, document := range strings.Split(text, "\n---\n") {
		object := decodeObject(t, document)
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
	}
	return changes
}

func decodeObject(t *testing.T, document string) snapshot.Object {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
		t.Fatal(err)
	}
	object := emptyObject(meta.Kind)
	if object == nil {
		t.Fatalf("no kind %q", meta.Kind)
	}
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	if object.GetGeneration() == 0 {
		object.SetGeneration(1)
	}
	if secret, ok := object.(*corev1.Secret); ok {
		fillSecret(t, secret)
	}
	if authorities, ok := object.(*corev1.ConfigMap); ok {
		fillConfigMap(t, authorities)
	}
	applyDefaults(object)
	return object
}

func emptyObject(kind string) snapshot.Object {
	switch snapshot.Kind(kind) {
	case snapshot.KindGatewayClass:
		return &gatewayv1.GatewayClass{}
	case snapshot.KindGateway:
		return &gatewayv1.Gateway{}
	case snapshot.KindHTTPRoute:
		return &gatewayv1.HTTPRoute{}
	case snapshot.KindReferenceGrant:
		return &gatewayv1.ReferenceGrant{}
	case snapshot.KindGRPCRoute:
		return &gatewayv1.GRPCRoute{}
	case snapshot.KindTCPRoute:
		return &gatewayv1.TCPRoute{}
	case snapshot.KindBackendTLSPolicy:
		return &gatewayv1.BackendTLSPolicy{}
	case snapshot.KindListenerSet:
		return &gatewayv1.ListenerSet{}
	case snapshot.KindXBackend:
		return &gatewayx.XBackend{}
	case snapshot.KindNamespace:
		return &corev1.Namespace{}
	case snapshot.KindService:
		return &corev1.Service{}
	case snapshot.KindEndpointSlice:
		return &discoveryv1.EndpointSlice{}
	case snapshot.KindBackend:
		return &v1alpha1.Backend{}
	case snapshot.KindGatewayParameters:
		return &v1alpha1.GatewayParameters{}
	case snapshot.KindPod:
		return &corev1.Pod{}
	case snapshot.KindLease:
		return &coordinationv1.Lease{}
	case snapshot.KindCustomResourceDefinition:
		return &metav1.PartialObjectMetadata{}
	case snapshot.KindSecret:
		return &corev1.Secret{}
	case snapshot.KindConfigMap:
		return &corev1.ConfigMap{}
	case snapshot.KindClientPolicy:
		return &v1alpha1.ClientPolicy{}
	}
	return nil
}

// fillSecret moves stringData to data, as an API server does, and puts PEM in
// the place of "certificate for NAME" and "key for NAME".
func fillSecret(t *testing.T, secret *corev1.Secret) {
	secret.Data = map[string][]byte{}
	for key, text := range secret.StringData {
		secret.Data[key] = []byte(pemFor(t, text))
	}
	secret.StringData = nil
}

// fillConfigMap puts PEM in the same places.
func fillConfigMap(t *testing.T, authorities *corev1.ConfigMap) {
	for key, text := range authorities.Data {
		authorities.Data[key] = pemFor(t, text)
	}
}

// pemFor is the text with PEM in its places, of which there may be several with
// commas between them.
func pemFor(t *testing.T, text string) string {
	var all string
	for part := range strings.SplitSeq(text, ", ") {
		if name, ok := strings.CutPrefix(part, "certificate for "); ok {
			part = string(testPair(t, name).chain)
		} else if name, ok := strings.CutPrefix(part, "key for "); ok {
			part = string(testPair(t, name).key)
		}
		all += part
	}
	return all
}

type pemPair struct{ chain, key []byte }

var testPairs = map[string]pemPair{}

// testPair is a self-signed certificate for a DNS name and its key, in PEM.
func testPair(t testing.TB, name string) pemPair {
	if pair, ok := testPairs[name]; ok {
		return pair
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Unix(4000000000, 0)}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	testPairs[name] = pemPair{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	return testPairs[name]
}

// applyDefaults sets the defaults of the CRDs that the translation counts on.
func applyDefaults(object snapshot.Object) {
	switch snapshot.KindOf(object) {
	case snapshot.KindGatewayClass, snapshot.KindNamespace, snapshot.KindCustomResourceDefinition:
	default:
		if object.GetNamespace() == "" {
			object.SetNamespace("default")
		}
	}
	route, ok := object.(*gatewayv1.HTTPRoute)
	if !ok {
		return
	}
	prefix, slash := gatewayv1.PathMatchPathPrefix, "/"
	if len(route.Spec.Rules) == 0 {
		route.Spec.Rules = []gatewayv1.HTTPRouteRule{{}}
	}
	for i := range route.Spec.Rules {
		if rule := &route.Spec.Rules[i]; len(rule.Matches) == 0 {
			rule.Matches = []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &prefix, Value: &slash}}}
		}
	}
}
