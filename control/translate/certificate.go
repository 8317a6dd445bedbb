package translate

import (
	"crypto/x509"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
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
			l.takeCertificate(r, fmt.Sprintf("%s.certificateRefs[%d]", field, i), ref)
		}
		if len(spec.Options) > 0 {
			l.warn(field+".options", "Sluice knows no options of TLS", "set versions and ciphers with a ClientPolicy of group "+v1alpha1.GroupName)
		}
	}
	if len(l.certificates) == 0 && len(l.invalid) == 0 {
		l.lacking = append(l.lacking, l.unresolved...)
	}
}

// takeCertificate takes what one certificateRef names, or says what is wrong with it.
func (l *listener) takeCertificate(r *reader, field string, ref gatewayv1.SecretObjectReference) {
	from := attach.From{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(l.owner.Kind), Namespace: l.owner.Namespace}
	found := readCertificate(r, field, from, ref, string(gatewayv1.ListenerReasonInvalidCertificateRef))
	l.grants = append(l.grants, found.grants...)
	if found.problem != nil {
		l.unresolved = append(l.unresolved, *found.problem)
		return
	}
	l.certificates = append(l.certificates, found.certificate.content)
	l.reviewCertificate(field, found.certificate)
}

// reviewCertificate finds what makes clients distrust a certificate that is shown.
// That it expires is told by who has a clock.
func (l *listener) reviewCertificate(field string, c *certificate) {
	secret := strings.TrimPrefix(c.content.Name, "secret/")
	if name := strings.Replace(l.hostname, "*", "www", 1); name != "" && !c.covers(name) {
		l.warn(field, fmt.Sprintf("the certificate in Secret %s is not for the listener's hostname %s, so clients will not trust it", secret, l.hostname), "use a certificate whose DNS names cover the hostname")
	}
	if c.broken > 0 {
		l.warn(field, fmt.Sprintf("certificate %d of the chain in Secret %s did not sign the one before it, so some clients will not trust it", c.broken, secret), "write the leaf first, and after each certificate the one of the authority that signed it")
	}
}

// foundCertificate is what a reference to a certificate names, or what is wrong
// with it.
type foundCertificate struct {
	certificate *certificate
	// grants has the ReferenceGrant that the reference leans on.
	grants  []snapshot.Key
	problem *problem
}

// readCertificate finds what a reference to a certificate and its key names.
// Whether it is granted is asked before whether it exists: who may not refer to a
// Secret must not learn of it. invalid is the reason where the reference is wrong.
func readCertificate(r *reader, field string, from attach.From, ref gatewayv1.SecretObjectReference, invalid string) (found foundCertificate) {
	fail := func(message, fix string) foundCertificate {
		found.problem = &problem{reason: invalid, field: field, message: message, fix: fix}
		return found
	}
	to := attach.To{Group: deref(ref.Group), Kind: "Secret", Namespace: from.Namespace, Name: string(ref.Name)}
	if ref.Kind != nil {
		to.Kind = *ref.Kind
	}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if groupKind(to.Group, to.Kind) != string(snapshot.KindSecret) {
		return fail(fmt.Sprintf("Sluice takes no certificates from objects of kind %s", groupKind(to.Group, to.Kind)), "refer to a Secret")
	}
	if to.Namespace != from.Namespace {
		grant := attach.Granted(r, from, to)
		if grant == nil {
			found.problem = new(notGranted(field, from, to))
			return found
		}
		found.grants = append(found.grants, snapshot.KeyOf(grant))
	}
	found.certificate = r.certificate(to.Namespace, to.Name)
	if wrong := found.certificate.wrong; wrong != "" {
		return fail(fmt.Sprintf("Secret %s/%s %s", to.Namespace, to.Name, wrong), found.certificate.fix)
	}
	return found
}

// certificate is what a Secret holds of a certificate. Of what is in it only that
// is kept which is asked for: parsed, a certificate takes kilobytes.
type certificate struct {
	content config.Certificate
	// names are the DNS names that it is for.
	names []string
	// broken is the number in the chain, from 1, of the first certificate that did
	// not sign the one before it; 0 if there is none.
	broken int
	// wrong says why it is of no use, and fix what to do; empty if it is.
	wrong, fix string
}

// certificate reads a Secret. Many listeners may show the same one, and are read
// again for other reasons, so what has been parsed is kept as long as the object
// is the same.
func (r *reader) certificate(namespace, name string) *certificate {
	key := snapshot.Key{Kind: snapshot.KindSecret, Namespace: namespace, Name: name}
	secret := snapshot.Get[*corev1.Secret](r, namespace, name)
	if secret == nil {
		return &certificate{wrong: "does not exist", fix: "write the name of an existing Secret, or create it"}
	}
	if known := r.certificates[key]; known != nil {
		return known
	}
	next := parseCertificate(secret)
	r.certificates[key] = next
	return next
}

// parseCertificate takes the certificate of a Secret, of type kubernetes.io/tls or
// of another with the same keys, or says what is wrong with it.
func parseCertificate(secret *corev1.Secret) *certificate {
	c := &certificate{content: config.Certificate{
		Name:  fmt.Sprintf("secret/%s/%s", secret.Namespace, secret.Name),
		Chain: secret.Data[corev1.TLSCertKey],
		Key:   secret.Data[corev1.TLSPrivateKeyKey],
	}}
	fail := func(wrong, fix string) *certificate {
		c.wrong, c.fix = wrong, fix
		return c
	}
	if len(c.content.Chain) == 0 || len(c.content.Key) == 0 {
		return fail("has no certificate: it needs the keys tls.crt and tls.key", "refer to a Secret of type kubernetes.io/tls")
	}
	pair, err := c.content.Pair()
	if err != nil {
		return fail("has no usable certificate: "+strings.TrimPrefix(err.Error(), "tls: "), "write the chain in PEM, leaf first, to tls.crt, and the leaf's private key to tls.key")
	}
	var before *x509.Certificate
	for i, der := range pair.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return fail(fmt.Sprintf("has a malformed certificate, number %d of the chain", i+1), "write the chain in PEM, leaf first, to tls.crt")
		}
		switch {
		case i == 0:
			c.names = parsed.DNSNames
		case c.broken == 0 && before.CheckSignatureFrom(parsed) != nil:
			c.broken = i + 1
		}
		before = parsed
	}
	return c
}

// covers reports whether the certificate is for the hostname.
func (c *certificate) covers(hostname string) bool {
	return (&x509.Certificate{DNSNames: c.names}).VerifyHostname(hostname) == nil
}

func (l *listener) warn(field, message, fix string) {
	l.review = append(l.review, problem{field: field, message: message, fix: fix}.finding(l.owner, diagnostic.Warning))
}
