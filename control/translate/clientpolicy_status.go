package translate

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// settleClientPolicies says of each ClientPolicy that something changed for where
// it holds.
func (t *Translator) settleClientPolicies() {
	t.settle(stageClientPolicy, func(r *reader, object snapshot.Object) (status.Status, []diagnostic.Diagnostic) {
		return t.clientPolicyStatus(r, object.(*v1alpha1.ClientPolicy))
	})
}

// clientPolicyStatus has an ancestor for each target that is ours, or that does not
// exist.
func (t *Translator) clientPolicyStatus(r *reader, object *v1alpha1.ClientPolicy) (status.Status, []diagnostic.Diagnostic) {
	key := snapshot.KeyOf(object)
	_, invalid := compileClientPolicy(object)
	found := append(findings(key, invalid), reviewClientPolicy(key, object)...)
	var ancestors []gatewayv1.PolicyAncestorStatus
	for i, target := range object.Spec.TargetRefs {
		owner := snapshot.Key{Kind: snapshot.Kind(target.Kind), Namespace: object.Namespace, Name: string(target.Name)}
		at := policyTarget{owner: owner, section: deref(target.SectionName), field: fmt.Sprintf("spec.targetRefs[%d]", i)}
		if at.exists = r.Object(owner) != nil; at.exists && r.binding(owner) == nil {
			found = append(found, problem{field: at.field, message: fmt.Sprintf("%s is not served by Sluice", owner)}.finding(key, diagnostic.Info))
			continue
		}
		var accepted metav1.Condition
		if len(invalid) > 0 {
			accepted = failed(gatewayv1.PolicyConditionAccepted, invalid)
		} else {
			var more []diagnostic.Diagnostic
			accepted, more = t.clientPolicyAccepted(r, object, at)
			found = append(found, more...)
		}
		ancestors = append(ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef:    ancestorRef(owner, target.SectionName),
			ControllerName: t.options.ControllerName,
			Conditions:     status.Observed(object.Generation, accepted),
		})
	}
	if ancestors == nil {
		return status.Status{}, found
	}
	return status.Status{Policy: &gatewayv1.PolicyStatus{Ancestors: ancestors}}, found
}

// policyTarget is what one of a policy's targetRefs names.
type policyTarget struct {
	owner snapshot.Key
	// section is empty for the whole.
	section gatewayv1.SectionName
	field   string
	exists  bool
}

func ancestorRef(owner snapshot.Key, section *gatewayv1.SectionName) gatewayv1.ParentReference {
	return gatewayv1.ParentReference{
		Group:       new(gatewayv1.Group(gatewayv1.GroupName)),
		Kind:        new(gatewayv1.Kind(owner.Kind)),
		Namespace:   new(gatewayv1.Namespace(owner.Namespace)),
		Name:        gatewayv1.ObjectName(owner.Name),
		SectionName: section,
	}
}

// clientPolicyAccepted says whether a valid policy holds at a target, and what a
// person should know of it.
func (t *Translator) clientPolicyAccepted(r *reader, object *v1alpha1.ClientPolicy, at policyTarget) (metav1.Condition, []diagnostic.Diagnostic) {
	const accepted = gatewayv1.PolicyConditionAccepted
	key := snapshot.KeyOf(object)
	refuse := func(reason gatewayv1.PolicyConditionReason, message, fix string) (metav1.Condition, []diagnostic.Diagnostic) {
		p := problem{field: at.field, message: message, fix: fix}
		return status.False(accepted, reason, message), []diagnostic.Diagnostic{p.finding(key, diagnostic.Error)}
	}
	if !at.exists {
		return refuse(gatewayv1.PolicyReasonTargetNotFound, fmt.Sprintf("%s does not exist", at.owner), "write the name of an existing one in the same namespace, or create it")
	}
	g, listeners := t.listenersUnder(r, at)
	if at.section != "" && len(listeners) == 0 {
		return refuse(gatewayv1.PolicyReasonTargetNotFound, fmt.Sprintf("%s has no listener %s", at.owner, at.section), "write the name of one of its listeners as sectionName")
	}
	if first := r.firstsOn(clientPoliciesOn(at.owner))[at.section]; first.GetName() != object.Name {
		return refuse(gatewayv1.PolicyReasonConflicted, fmt.Sprintf("ClientPolicy %s is for the same target and goes first, because it is %s", first.GetName(), why(first, object)), "remove one of the policies, or give this one another target")
	}
	var held, shared []string
	for _, l := range listeners {
		if s := t.socketOf(g, l.spec.Port); l.spec.Protocol == gatewayv1.HTTPProtocolType && !s.sole && (at.owner != s.leader || at.section != "") {
			shared = append(shared, sharedPort(at, l, s))
			continue
		}
		held = append(held, string(l.spec.Name))
	}
	fix := "give the listener a port of its own, or write it into the policy of that Gateway"
	switch {
	case len(shared) > 0 && len(held) == 0:
		return refuse(v1alpha1.ClientPolicyReasonSharedPort, strings.Join(shared, "; "), fix)
	case len(shared) == 0 && object.Spec.HTTP3 != nil && object.Spec.HTTP3.Enabled && at.owner.Kind == snapshot.KindListenerSet && !r.termsOf(g.key).mayHTTP3():
		shared = []string{"HTTP/3 is off, because it takes UDP ports of the Gateway and no policy for the whole Gateway turns it on"}
		fix = "have who owns the Gateway turn on http3 in a ClientPolicy for the whole of it"
	case len(shared) == 0:
		return status.True(accepted, gatewayv1.PolicyReasonAccepted, "the policy is valid"), nil
	}
	message := strings.Join(shared, "; ")
	p := problem{field: at.field, message: message, fix: fix}
	return status.True(accepted, gatewayv1.PolicyReasonAccepted, "the policy is valid, but does not hold everywhere: "+message), []diagnostic.Diagnostic{p.finding(key, diagnostic.Warning)}
}

// listenersUnder are the Gateway of a target and the valid listeners that the
// target is about.
func (t *Translator) listenersUnder(r *reader, at policyTarget) (*gateway, []*listener) {
	g, all := t.listenersOf(at.owner)
	r.read[socketsKey(g.key)] = struct{}{}
	var listeners []*listener
	for i := range all {
		if l := &all[i]; at.section == "" || at.section == l.spec.Name {
			listeners = append(listeners, l)
		}
	}
	return g, listeners
}

// why says why a policy goes before another one.
func why(first, other metav1.Object) string {
	if first.GetCreationTimestamp().Time.Equal(other.GetCreationTimestamp().Time) {
		return "first by name"
	}
	return "older"
}

// sharedPort says why the policy does not hold for an HTTP listener, and what does.
// Of Gateways in other namespaces the owner of a ListenerSet learns nothing.
func sharedPort(at policyTarget, l *listener, s share) string {
	whose := s.leader.String()
	if at.owner.Kind == snapshot.KindListenerSet && at.owner.Namespace != s.leader.Namespace {
		whose = "the Gateway that goes first there"
	}
	what := fmt.Sprintf("what holds there is the policy of the whole of %s", whose)
	if s.policy == nil {
		what = fmt.Sprintf("no policy holds there as long as there is none for the whole of %s", whose)
	}
	return fmt.Sprintf("listener %s shares port %d with others that cannot be told apart before a request is read, so %s", l.spec.Name, l.spec.Port, what)
}

// reviewClientPolicy finds what a reviewer would ask.
func reviewClientPolicy(key snapshot.Key, object *v1alpha1.ClientPolicy) (found []diagnostic.Diagnostic) {
	warn := func(field, message, fix string) {
		found = append(found, problem{field: field, message: message, fix: fix}.finding(key, diagnostic.Warning))
	}
	policy, _ := compileClientPolicy(object)
	for i, prefix := range policy.client.TrustedProxies {
		if prefix.Bits() == 0 {
			warn(fmt.Sprintf("spec.trustedProxies[%d]", i), fmt.Sprintf("%s is everybody, so every client may write its own address into X-Forwarded-For", prefix), "name the addresses of the proxies in front")
		}
	}
	review := func(field string, m *config.HeaderModifier) {
		for _, name := range modified(m) {
			if config.IsConnectionField(name) {
				warn(field, name+" is a matter of each connection: the gateway writes it itself, and nothing changes it", "remove it")
			}
		}
	}
	review("spec.headers.request", policy.client.RequestHeaders)
	review("spec.headers.response", policy.client.ResponseHeaders)
	return found
}

// modified are the names that a modifier is about.
func modified(m *config.HeaderModifier) []string {
	if m == nil {
		return nil
	}
	names := slices.Clone(m.Remove)
	for _, h := range slices.Concat(m.Set, m.Add) {
		names = append(names, h.Name)
	}
	return names
}

// policyAffected is the condition of a Gateway or ListenerSet that ClientPolicies
// hold for (GEP-713); none otherwise.
func (t *Translator) policyAffected(g *gateway, listeners []listener) []metav1.Condition {
	var names []string
	for i := range listeners {
		policy := t.policyOf(g, &listeners[i])
		if policy == nil {
			continue
		}
		name := policy.key.Name
		if policy.key.Namespace != listeners[i].owner.Namespace {
			name = "of the Gateway"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []metav1.Condition{status.True(v1alpha1.ClientPolicyAffected, v1alpha1.ReasonPolicyAffected, "ClientPolicy "+strings.Join(slices.Compact(names), ", ")+" says how clients are dealt with")}
}
