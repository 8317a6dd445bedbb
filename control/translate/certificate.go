package translate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// readTLS obeys listeners[].tls of an HTTPS listener. The certificates that can
// be had are served, whatever is wrong with others.
func (l *listener) readTLS(r *reader) {
	if l.spec.Protocol != gatewayv1.HTTPSProtocolType {
		return
	}
	field := l.field + ".tls"
	invalid := func(field, message, fix string) {
		l.invalid = append(l.invalid, problem{reason: string(gatewayv1.ListenerReasonInvalid), field: field, message: message, fix: fix})
	}
	switch spec := l.spec.TLS; {
	case spec == nil:
		invalid(field, "an HTTPS listener needs tls", "write certificateRefs with the name of a Secret that holds tls.crt and tls.key")
	case spec.Mode != nil && *spec.Mode != gatewayv1.TLSModeTerminate:
		invalid(field+".mode", fmt.Sprintf("mode %s does not fit protocol HTTPS, whose TLS ends here", *spec.Mode), "use mode Terminate")
	case len(spec.CertificateRefs) == 0:
		invalid(field+".certificateRefs", "an HTTPS listener needs a certificate", "name a Secret that holds tls.crt and tls.key")
	default:
		for i, ref := range spec.CertificateRefs {
			l.readCertificate(r, fmt.Sprintf("%s.certificateRefs[%d]", field, i), ref)
		}
		if len(spec.Options) > 0 {
			l.warn(field+".options", "options of TLS are valid; this version of Sluice does not serve them yet", "")
		}
	}
}

// readCertificate finds what one certificateRef names. Whether it is granted is
// asked before whether it exists: who may not refer to a Secret must not learn
// of it.
func (l *listener) readCertificate(r *reader, field string, ref gatewayv1.SecretObjectReference) {
	fail := func(reason gatewayv1.ListenerConditionReason, message, fix string) {
		l.unresolved = append(l.unresolved, problem{reason: string(reason), field: field, message: message, fix: fix})
	}
	to := attach.To{Group: deref(ref.Group), Kind: "Secret", Namespace: l.owner.Namespace, Name: string(ref.Name)}
	if ref.Kind != nil {
		to.Kind = *ref.Kind
	}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if groupKind(to.Group, to.Kind) != string(snapshot.KindSecret) {
		fail(gatewayv1.ListenerReasonInvalidCertificateRef, fmt.Sprintf("Sluice takes no certificates from objects of kind %s", groupKind(to.Group, to.Kind)), "refer to a Secret")
		return
	}
	from := attach.From{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(l.owner.Kind), Namespace: l.owner.Namespace}
	if to.Namespace != from.Namespace {
		grant := attach.Granted(r, from, to)
		if grant == nil {
			l.unresolved = append(l.unresolved, notGranted(field, from, to))
			return
		}
		l.grants = append(l.grants, snapshot.KeyOf(grant))
	}
	secret := snapshot.Get[*corev1.Secret](r, to.Namespace, to.Name)
	if secret == nil {
		fail(gatewayv1.ListenerReasonInvalidCertificateRef, fmt.Sprintf("Secret %s/%s does not exist", to.Namespace, to.Name), "write the name of an existing Secret, or create it")
		return
	}
	if message, fix := l.takeCertificate(field, secret); message != "" {
		fail(gatewayv1.ListenerReasonInvalidCertificateRef, fmt.Sprintf("Secret %s/%s %s", to.Namespace, to.Name, message), fix)
	}
}

// takeCertificate takes the certificate of a Secret, of type kubernetes.io/tls or
// of another with the same keys, or says what is wrong with it.
func (l *listener) takeCertificate(field string, secret *corev1.Secret) (message, fix string) {
	certificate := config.Certificate{
		Name:  fmt.Sprintf("secret/%s/%s", secret.Namespace, secret.Name),
		Chain: secret.Data[corev1.TLSCertKey],
		Key:   secret.Data[corev1.TLSPrivateKeyKey],
	}
	if len(certificate.Chain) == 0 || len(certificate.Key) == 0 {
		return "has no certificate: it needs the keys tls.crt and tls.key", "refer to a Secret of type kubernetes.io/tls"
	}
	pair, err := certificate.Pair()
	if err != nil {
		return "has no usable certificate: " + strings.TrimPrefix(err.Error(), "tls: "), "write the chain in PEM, leaf first, to tls.crt, and the leaf's private key to tls.key"
	}
	if name := strings.Replace(l.hostname, "*", "www", 1); name != "" && pair.Leaf.VerifyHostname(name) != nil {
		l.warn(field, fmt.Sprintf("the certificate in Secret %s/%s is not for the listener's hostname %s, so clients will not trust it", secret.Namespace, secret.Name, l.hostname), "use a certificate whose DNS names cover the hostname")
	}
	l.certificates = append(l.certificates, certificate)
	return "", ""
}

// refuseUncheckedClients obeys Gateway.spec.tls.frontend in the one way that is
// safe as long as Sluice does not ask clients for certificates: where valid ones
// are demanded, nobody is served.
func (l *listener) refuseUncheckedClients(frontend *gatewayv1.FrontendTLSConfig) {
	if frontend == nil || l.spec.Protocol != gatewayv1.HTTPSProtocolType {
		return
	}
	validation := frontend.Default.Validation
	for _, p := range frontend.PerPort {
		if p.Port == l.spec.Port {
			validation = p.TLS.Validation
		}
	}
	if validation == nil || validation.Mode == gatewayv1.AllowInsecureFallback {
		return
	}
	l.invalid = append(l.invalid, problem{
		reason:  string(gatewayv1.ListenerReasonUnsupportedValue),
		field:   l.field + ".protocol",
		message: "the Gateway's spec.tls.frontend demands certificates of clients; this version of Sluice does not check them yet, and serves nobody unchecked",
		fix:     "remove the validation from spec.tls.frontend if clients need no certificate",
	})
}

func (l *listener) warn(field, message, fix string) {
	l.review = append(l.review, problem{field: field, message: message, fix: fix}.finding(l.owner, diagnostic.Warning))
}

// uncertified reports whether the listener has none of the certificates that it
// needs: no handshake could succeed.
func (l *listener) uncertified() bool {
	return l.spec.Protocol == gatewayv1.HTTPSProtocolType && len(l.certificates) == 0
}
