package translate

import (
	"fmt"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// backendTLS is how a BackendTLSPolicy says that backends are verified.
type backendTLS struct {
	config config.BackendTLS
	// unresolved is which references are wrong, and invalid why the policy cannot be
	// followed: requests then fail, for nothing goes out unverified.
	unresolved, invalid []problem
}

// readBackendTLS obeys spec.validation of a policy.
func readBackendTLS(r *reader, policy *gatewayv1.BackendTLSPolicy) (next backendTLS) {
	spec := &policy.Spec.Validation
	next.config.Hostname = strings.ToLower(string(spec.Hostname))
	for _, name := range spec.SubjectAltNames {
		switch name.Type {
		case gatewayv1.HostnameSubjectAltNameType:
			next.config.SANs = append(next.config.SANs, config.SubjectAltName{Hostname: strings.ToLower(string(name.Hostname))})
		case gatewayv1.URISubjectAltNameType:
			next.config.SANs = append(next.config.SANs, config.SubjectAltName{URI: string(name.URI)})
		}
	}
	if len(spec.CACertificateRefs) == 0 {
		next.readWellKnown(spec)
		return next
	}
	var found trust
	from := attach.From{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(snapshot.KindBackendTLSPolicy), Namespace: policy.Namespace}
	for i, ref := range spec.CACertificateRefs {
		found.read(r, fmt.Sprintf("spec.validation.caCertificateRefs[%d]", i), from, gatewayv1.ObjectReference{Group: ref.Group, Kind: ref.Kind, Name: ref.Name}, string(gatewayv1.BackendTLSPolicyReasonInvalidKind))
	}
	next.config.CAs, next.unresolved = found.authorities, found.problems
	if len(found.authorities) == 0 {
		next.invalid = append(next.invalid, problem{
			reason:  string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate),
			message: "none of the authorities can be had that sign certificates of the backend, and nothing is sent to it unverified: " + messages(found.problems),
		})
	}
	return next
}

func (t *backendTLS) readWellKnown(spec *gatewayv1.BackendTLSPolicyValidation) {
	if t.config.System = deref(spec.WellKnownCACertificates) == gatewayv1.WellKnownCACertificatesSystem; t.config.System {
		return
	}
	t.invalid = append(t.invalid, problem{
		reason:  string(gatewayv1.PolicyReasonInvalid),
		field:   "spec.validation.wellKnownCACertificates",
		message: fmt.Sprintf("Sluice knows no authorities by the name %q", deref(spec.WellKnownCACertificates)),
		fix:     "write System, or caCertificateRefs",
	})
}

// policyFor is the BackendTLSPolicy for a port of a Service, or for a Backend, whose
// port has no name: the one that names the port before one for the whole. It is nil
// if there is none.
func policyFor(r *reader, target snapshot.Key, port string) *gatewayv1.BackendTLSPolicy {
	if port != "" {
		if policy := firstPolicy(r, target, gatewayv1.SectionName(port)); policy != nil {
			return policy
		}
	}
	return firstPolicy(r, target, "")
}

// firstPolicy is the one of the policies for exactly this section that goes first;
// the empty section is the whole.
func firstPolicy(r *reader, target snapshot.Key, section gatewayv1.SectionName) *gatewayv1.BackendTLSPolicy {
	first, _ := r.firstsOn(snapshot.BackendPoliciesOn(target.Kind, target.Namespace, target.Name))[section].(*gatewayv1.BackendTLSPolicy)
	return first
}

// unverifiable is the answer where nobody can say how to verify a backend, as where
// one fails its verification.
const unverifiable = 502

// secure obeys the BackendTLSPolicy for a backend, if there is one.
func secure(r *reader, next *config.Backend, target snapshot.Key, port string) {
	policy := policyFor(r, target, port)
	if policy == nil {
		return
	}
	tls := readBackendTLS(r, policy)
	if len(tls.invalid) > 0 {
		next.Fault = &config.Fault{
			Status: unverifiable,
			Reason: fmt.Sprintf("BackendTLSPolicy %s/%s cannot be followed: %s", policy.Namespace, policy.Name, messages(tls.invalid)),
		}
		return
	}
	next.TLS = &tls.config
}
