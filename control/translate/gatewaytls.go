package translate

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// gatewayTLS is spec.tls of a Gateway. It concerns all listeners of the Gateway,
// those of its ListenerSets included.
type gatewayTLS struct {
	// clients is how clients of HTTPS listeners are validated where perPort says
	// nothing; nil is not at all.
	clients *clientValidation
	perPort map[gatewayv1.PortNumber]*clientValidation
	// identity is what backends that ask for a certificate are shown.
	identity *config.Certificate
	// unresolved is what is wrong with the reference to the identity.
	unresolved []problem
	grants     []snapshot.Key
}

// clientValidation is how the certificates of clients are validated.
type clientValidation struct {
	mode config.ClientAuth
	trust
}

func readGatewayTLS(r *reader, key snapshot.Key, spec *gatewayv1.GatewayTLSConfig) gatewayTLS {
	var t gatewayTLS
	if spec == nil {
		return t
	}
	from := attach.From{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(key.Kind), Namespace: key.Namespace}
	if frontend := spec.Frontend; frontend != nil {
		t.clients = t.readValidation(r, "spec.tls.frontend.default.validation", from, frontend.Default.Validation)
		t.perPort = map[gatewayv1.PortNumber]*clientValidation{}
		for i, p := range frontend.PerPort {
			t.perPort[p.Port] = t.readValidation(r, fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i), from, p.TLS.Validation)
		}
	}
	if spec.Backend != nil && spec.Backend.ClientCertificateRef != nil {
		found := readCertificate(r, "spec.tls.backend.clientCertificateRef", from, *spec.Backend.ClientCertificateRef, string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
		if found.problem != nil {
			t.unresolved = append(t.unresolved, *found.problem)
		} else {
			t.identity = &found.certificate.content
		}
		t.grants = append(t.grants, found.grants...)
	}
	return t
}

func (t *gatewayTLS) readValidation(r *reader, field string, from attach.From, spec *gatewayv1.FrontendTLSValidation) *clientValidation {
	if spec == nil {
		return nil
	}
	v := &clientValidation{mode: config.ClientAuthValidOnly}
	if spec.Mode == gatewayv1.AllowInsecureFallback {
		v.mode = config.ClientAuthInsecureFallback
	}
	for i, ref := range spec.CACertificateRefs {
		v.read(r, fmt.Sprintf("%s.caCertificateRefs[%d]", field, i), from, ref, string(gatewayv1.ListenerReasonInvalidCACertificateKind))
	}
	t.grants = append(t.grants, v.grants...)
	if v.names > config.MaxAuthorityNames {
		v.authorities = nil
		v.problems = append(v.problems, problem{
			reason:  tooManyAuthorities,
			field:   field + ".caCertificateRefs",
			message: fmt.Sprintf("the names of the authorities have %d bytes, and a handshake holds %d", v.names, config.MaxAuthorityNames),
			fix:     "refer to the authorities that sign certificates of clients, and to no others",
		})
	}
	return v
}

// tooManyAuthorities is the reason of a listener whose clients could not be told
// which authorities sign their certificates.
const tooManyAuthorities = "TooManyAuthorities"

// of is how clients are validated on a port.
func (t *gatewayTLS) of(port gatewayv1.PortNumber) *clientValidation {
	if v, ok := t.perPort[port]; ok {
		return v
	}
	return t.clients
}

// insecure reports whether clients without a valid certificate are let in
// somewhere although certificates are asked for.
func (t *gatewayTLS) insecure() bool {
	all := []*clientValidation{t.clients}
	for _, v := range t.perPort {
		all = append(all, v)
	}
	for _, v := range all {
		if v != nil && v.mode == config.ClientAuthInsecureFallback {
			return true
		}
	}
	return false
}

// takeGatewayTLS obeys what the Gateway says for all its listeners. Who owns a
// ListenerSet learns nothing of what the Gateway refers to.
func (l *listener) takeGatewayTLS(t *gatewayTLS) {
	l.identity = t.identity
	if l.spec.Protocol != gatewayv1.HTTPSProtocolType {
		return
	}
	v := t.of(l.spec.Port)
	if v == nil {
		return
	}
	l.clients = v
	problems := v.problems
	if l.owner.Kind != snapshot.KindGateway && len(problems) > 0 {
		problems = []problem{{
			reason:  problems[0].reason,
			field:   l.field + ".port",
			message: "spec.tls.frontend of the Gateway refers to certificates of authorities that cannot be had",
			fix:     "have who owns the Gateway mend spec.tls.frontend",
		}}
	}
	l.unresolved = append(l.unresolved, problems...)
	if len(v.authorities) == 0 {
		l.lacking = append(l.lacking, problem{
			reason:  string(gatewayv1.ListenerReasonNoValidCACertificate),
			message: "none of the authorities can be had that sign certificates of clients, and nobody is served unchecked: " + messages(problems),
		})
	}
}

// gatewayResolvedRefs sums up the references of the Gateway itself and those of
// its listeners.
func gatewayResolvedRefs(g *gateway) metav1.Condition {
	const resolved = gatewayv1.GatewayConditionResolvedRefs
	if len(g.tls.unresolved) > 0 {
		return failed(resolved, g.tls.unresolved)
	}
	var bad []string
	for i := range g.listeners {
		if len(g.listeners[i].unresolved) > 0 {
			bad = append(bad, string(g.listeners[i].spec.Name))
		}
	}
	if len(bad) > 0 {
		return status.False(resolved, gatewayv1.GatewayReasonListenersNotResolved, "these listeners have references that are wrong: "+strings.Join(bad, ", "))
	}
	return status.True(resolved, gatewayv1.GatewayReasonResolvedRefs, "all references are resolved")
}

// insecureClients says what a Gateway risks that lets clients in without a valid
// certificate although it asks for one.
const insecureClients = "mode AllowInsecureFallback lets clients in that show no certificate, or one that is not valid; whether they may is left to backends"

func insecureFrontend() metav1.Condition {
	return status.True(gatewayv1.GatewayConditionInsecureFrontendValidationMode, gatewayv1.GatewayReasonConfigurationChanged, insecureClients)
}
