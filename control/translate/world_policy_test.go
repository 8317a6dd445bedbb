package translate_test

import (
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// policy is one of the policies, or a ConfigMap that they trust.
func (w world) policy() snapshot.Object {
	switch w.IntN(5) {
	case 0:
		return &corev1.ConfigMap{ObjectMeta: w.meta(pick(w, "ca1", "ca2")), Data: map[string]string{
			pick(w, "ca.crt", "ca.crt", "another"): pick(w, string(testPair(w.t, "one.example").chain), string(testPair(w.t, "two.example").chain), "nothing"),
		}}
	case 1, 2:
		return w.backendPolicy()
	}
	return w.clientPolicy()
}

func (w world) backendPolicy() *gatewayv1.BackendTLSPolicy {
	policy := &gatewayv1.BackendTLSPolicy{ObjectMeta: w.meta(pick(w, "p1", "p2", "p3"))}
	for range 1 + w.IntN(2) {
		target := gatewayv1.LocalPolicyTargetReferenceWithSectionName{SectionName: pick[*gatewayv1.SectionName](w, nil, new(gatewayv1.SectionName("http")), new(gatewayv1.SectionName("web")))}
		target.Kind, target.Name = "Service", pick[gatewayv1.ObjectName](w, "s1", "s2")
		if w.IntN(4) == 0 {
			target.Group, target.Kind = v1alpha1.GroupName, "Backend"
		}
		policy.Spec.TargetRefs = append(policy.Spec.TargetRefs, target)
	}
	policy.Spec.Validation.Hostname = pick[gatewayv1.PreciseHostname](w, "one.example", "two.example")
	if w.IntN(3) == 0 {
		policy.Spec.Validation.SubjectAltNames = []gatewayv1.SubjectAltName{{Type: gatewayv1.HostnameSubjectAltNameType, Hostname: pick[gatewayv1.Hostname](w, "one.example", "*.example")}}
	}
	if w.IntN(3) == 0 {
		policy.Spec.Validation.WellKnownCACertificates = new(gatewayv1.WellKnownCACertificatesSystem)
		return policy
	}
	for range 1 + w.IntN(2) {
		policy.Spec.Validation.CACertificateRefs = append(policy.Spec.Validation.CACertificateRefs, gatewayv1.LocalObjectReference{
			Kind: pick[gatewayv1.Kind](w, "ConfigMap", "ConfigMap", "ConfigMap", "Secret"), Name: pick[gatewayv1.ObjectName](w, "ca1", "ca2"),
		})
	}
	return policy
}

func (w world) clientPolicy() *v1alpha1.ClientPolicy {
	policy := &v1alpha1.ClientPolicy{ObjectMeta: w.meta(pick(w, "p1", "p2", "p3"))}
	for range 1 + w.IntN(2) {
		target := gatewayv1.LocalPolicyTargetReferenceWithSectionName{SectionName: pick[*gatewayv1.SectionName](w, nil, new(gatewayv1.SectionName("l0")), new(gatewayv1.SectionName("l1")), new(gatewayv1.SectionName("l2")))}
		target.Group, target.Kind, target.Name = gatewayv1.GroupName, "Gateway", pick[gatewayv1.ObjectName](w, "g1", "g2")
		if w.IntN(3) == 0 {
			target.Kind, target.Name = "ListenerSet", pick[gatewayv1.ObjectName](w, "s1", "s2", "s3")
		}
		policy.Spec.TargetRefs = append(policy.Spec.TargetRefs, target)
	}
	policy.Spec.Limits = &v1alpha1.ClientLimits{HeaderFields: new(16 + w.Int32N(100))}
	policy.Spec.TrustedProxies = []v1alpha1.CIDR{pick[v1alpha1.CIDR](w, "10.0.0.0/8", "10.0.0.0/8", "malformed")}
	policy.Spec.TLS = &v1alpha1.ClientTLS{MinVersion: pick[v1alpha1.TLSVersion](w, "", "1.2", "1.3"), MaxVersion: pick[v1alpha1.TLSVersion](w, "", "1.3")}
	policy.Spec.HTTP3 = pick(w, nil, &v1alpha1.ClientHTTP3{Enabled: true})
	return policy
}

// gatewayTLS is what a Gateway says of the certificates of its clients and of its own.
func (w world) gatewayTLS() *gatewayv1.GatewayTLSConfig {
	tls := &gatewayv1.GatewayTLSConfig{}
	if w.IntN(3) > 0 {
		tls.Frontend = &gatewayv1.FrontendTLSConfig{Default: gatewayv1.TLSConfig{Validation: w.validation()}}
		tls.Frontend.PerPort = pick(w, nil, []gatewayv1.TLSPortConfig{{Port: pick[gatewayv1.PortNumber](w, 80, 81), TLS: gatewayv1.TLSConfig{Validation: w.validation()}}})
	}
	if w.IntN(2) == 0 {
		tls.Backend = &gatewayv1.GatewayBackendTLS{ClientCertificateRef: &gatewayv1.SecretObjectReference{
			Name:      pick[gatewayv1.ObjectName](w, "c1", "c2"),
			Namespace: pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a"))),
		}}
	}
	return tls
}

func (w world) validation() *gatewayv1.FrontendTLSValidation {
	if w.IntN(3) == 0 {
		return nil
	}
	return &gatewayv1.FrontendTLSValidation{
		Mode: pick(w, gatewayv1.AllowValidOnly, gatewayv1.AllowInsecureFallback),
		CACertificateRefs: []gatewayv1.ObjectReference{{
			Kind: "ConfigMap", Name: pick[gatewayv1.ObjectName](w, "ca1", "ca2"), Namespace: pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a"))),
		}},
	}
}
