package translate

import (
	"fmt"
	"net/netip"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// clientPolicy is a ClientPolicy as listeners take it.
type clientPolicy struct {
	key    snapshot.Key
	tls    config.ListenerTLS
	client config.ClientSettings
}

// clientPolicies are those that hold for one Gateway or ListenerSet: one for the
// whole of it, and one for each of some listeners.
type clientPolicies struct {
	whole    *clientPolicy
	sections map[gatewayv1.SectionName]*clientPolicy
}

// of are the policies for a listener, the most specific first. The last is the one
// of the Gateway that a ListenerSet belongs to; it may be nil, as others may.
func (p *clientPolicies) of(section gatewayv1.SectionName, gateway *clientPolicy) []*clientPolicy {
	var all []*clientPolicy
	for _, one := range []*clientPolicy{p.sections[section], p.whole, gateway} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// readClientPolicies finds the policies for a Gateway or a ListenerSet.
func readClientPolicies(r *reader, owner snapshot.Key) (found clientPolicies) {
	for section, object := range r.firstsOn(clientPoliciesOn(owner)) {
		policy, problems := compileClientPolicy(object.(*v1alpha1.ClientPolicy))
		switch {
		case len(problems) > 0:
		case section == "":
			found.whole = policy
		default:
			if found.sections == nil {
				found.sections = map[gatewayv1.SectionName]*clientPolicy{}
			}
			found.sections[section] = policy
		}
	}
	return found
}

func clientPoliciesOn(owner snapshot.Key) snapshot.Key {
	return snapshot.ClientPoliciesOn(owner.Kind, owner.Namespace, owner.Name)
}

// compileClientPolicy makes settings of a policy, or says what is wrong with it.
// The definition's schema lets nothing wrong through; but who reads an API server
// cannot be sure that it has the same.
func compileClientPolicy(object *v1alpha1.ClientPolicy) (*clientPolicy, []problem) {
	c := policyCompiler{}
	spec := &object.Spec
	next := &clientPolicy{key: snapshot.KeyOf(object)}
	next.tls = clientTLS(spec.TLS)
	next.client.HTTP3 = spec.HTTP3 != nil && spec.HTTP3.Enabled
	if next.client.HTTP3 && next.tls.MaxVersion == "1.2" {
		c.fail("spec.http3", "HTTP/3 needs TLS 1.3, and tls.maxVersion is 1.2", "remove one of them")
	}
	next.client.Limits = clientLimits(spec.Limits)
	next.client.Timeouts = c.timeouts(spec.Timeouts)
	if h := spec.Headers; h != nil {
		next.client.CertificateHeader = h.ClientCertificate == v1alpha1.ClientCertificateForward
		next.client.RequestHeaders = clientHeaders(h.Request)
		next.client.ResponseHeaders = clientHeaders(h.Response)
	}
	for i, cidr := range spec.TrustedProxies {
		prefix, err := netip.ParsePrefix(string(cidr))
		if err != nil {
			c.fail(fmt.Sprintf("spec.trustedProxies[%d]", i), fmt.Sprintf("%q is no range of addresses", cidr), "write one such as 192.0.2.0/24")
			continue
		}
		next.client.TrustedProxies = append(next.client.TrustedProxies, prefix.Masked())
	}
	return next, c.problems
}

func clientTLS(spec *v1alpha1.ClientTLS) (next config.ListenerTLS) {
	if spec == nil {
		return next
	}
	next.MinVersion, next.MaxVersion = string(spec.MinVersion), string(spec.MaxVersion)
	for _, cipher := range spec.Ciphers {
		next.Ciphers = append(next.Ciphers, string(cipher))
	}
	for _, protocol := range spec.ALPNProtocols {
		next.ALPN = append(next.ALPN, string(protocol))
	}
	return next
}

func clientLimits(spec *v1alpha1.ClientLimits) config.ClientLimits {
	if spec == nil {
		return config.ClientLimits{}
	}
	return config.ClientLimits{
		HeaderBytes:  int(deref(spec.HeaderBytes)),
		HeaderFields: int(deref(spec.HeaderFields)),
		Streams:      int(deref(spec.Streams)),
		Connections:  int64(deref(spec.Connections)),
	}
}

func clientHeaders(filter *gatewayv1.HTTPHeaderFilter) *config.HeaderModifier {
	if filter == nil {
		return nil
	}
	return &config.HeaderModifier{Set: headers(filter.Set), Add: headers(filter.Add), Remove: filter.Remove}
}

// policyCompiler gathers what is wrong with a policy.
type policyCompiler struct{ problems []problem }

func (c *policyCompiler) fail(field, message, fix string) {
	c.problems = append(c.problems, problem{reason: string(gatewayv1.PolicyReasonInvalid), field: field, message: message, fix: fix})
}

func (c *policyCompiler) timeouts(spec *v1alpha1.ClientTimeouts) config.ClientTimeouts {
	if spec == nil {
		return config.ClientTimeouts{}
	}
	return config.ClientTimeouts{
		Handshake: c.duration("spec.timeouts.handshake", spec.Handshake),
		Head:      c.duration("spec.timeouts.head", spec.Head),
		BodyIdle:  c.duration("spec.timeouts.bodyIdle", spec.BodyIdle),
		Idle:      c.duration("spec.timeouts.idle", spec.Idle),
	}
}

func (c *policyCompiler) duration(field string, text *v1alpha1.ClientTimeout) time.Duration {
	if text == nil {
		return 0
	}
	d, err := time.ParseDuration(string(*text))
	if err != nil || d <= 0 {
		c.fail(field, fmt.Sprintf("%q is no duration above zero", *text), "write one such as 10s or 1m30s")
	}
	return d
}

// clientOf is what the policy says of a listener's clients. Only an HTTPS listener
// speaks HTTP/3.
func (p *clientPolicy) clientOf(l *listener) *config.ClientSettings {
	if !p.client.HTTP3 || l.spec.Protocol == gatewayv1.HTTPSProtocolType && l.mayHTTP3 {
		return &p.client
	}
	client := p.client
	client.HTTP3 = false
	return &client
}

// policyOf is the ClientPolicy that holds for a listener; nil if none does.
func (t *Translator) policyOf(g *gateway, l *listener) *clientPolicy {
	if l.spec.Protocol == gatewayv1.HTTPProtocolType {
		if s := t.socketOf(g, l.spec.Port); !s.sole {
			return s.policy
		}
	}
	if len(l.policies) == 0 {
		return nil
	}
	return l.policies[0]
}
