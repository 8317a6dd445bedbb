package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// lead says that routes of a Gateway lead to a Service or a Backend.
type lead struct{ gateway, target snapshot.Key }

// countLeads follows where routes lead, for the ancestors of policies.
func (t *Translator) countLeads(before, after *route) {
	t.leads.replace(leadsOf(before), leadsOf(after), func(l lead) {
		t.graph.touch(leadsKey(l.target))
		if t.leads[l] == 0 {
			if delete(t.leadsTo[l.target], l.gateway); len(t.leadsTo[l.target]) == 0 {
				delete(t.leadsTo, l.target)
			}
			return
		}
		if t.leadsTo[l.target] == nil {
			t.leadsTo[l.target] = map[snapshot.Key]struct{}{}
		}
		t.leadsTo[l.target][l.gateway] = struct{}{}
	})
}

func leadsOf(r *route) []lead {
	if r.config == nil {
		return nil
	}
	gateways := map[snapshot.Key]struct{}{}
	for _, a := range r.config.Attachments {
		// A listener's name begins with namespace and name of its Gateway.
		namespace, rest, _ := strings.Cut(a.Listener, "/")
		name, _, _ := strings.Cut(rest, "/")
		gateways[snapshot.Key{Kind: snapshot.KindGateway, Namespace: namespace, Name: name}] = struct{}{}
	}
	all := map[lead]struct{}{}
	for gateway := range gateways {
		for _, b := range r.backends {
			all[lead{gateway, snapshot.Key{Kind: b.kind, Namespace: b.namespace, Name: b.name}}] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(all))
}

// leadsKey stands for the Gateways whose routes lead to a target.
func leadsKey(target snapshot.Key) snapshot.Key {
	return snapshot.Key{Kind: "leads to " + target.Kind, Namespace: target.Namespace, Name: target.Name}
}

// gatewaysTo are the Gateways of ours whose routes lead to a target, in order.
func (t *Translator) gatewaysTo(r *reader, target snapshot.Key) []snapshot.Key {
	r.read[leadsKey(target)] = struct{}{}
	return slices.SortedFunc(maps.Keys(t.leadsTo[target]), snapshot.Key.Compare)
}

// settleBackendPolicies says of each BackendTLSPolicy that something changed for
// what became of it.
func (t *Translator) settleBackendPolicies() {
	t.settle(stageBackendPolicy, func(r *reader, object snapshot.Object) (status.Status, []diagnostic.Diagnostic) {
		return t.backendPolicyStatus(r, object.(*gatewayv1.BackendTLSPolicy))
	})
}

// maxAncestors is the most that the status of a policy takes.
const maxAncestors = 16

// backendPolicyStatus has an ancestor for each Gateway whose routes lead to what the
// policy is about.
func (t *Translator) backendPolicyStatus(r *reader, object *gatewayv1.BackendTLSPolicy) (status.Status, []diagnostic.Diagnostic) {
	key := snapshot.KeyOf(object)
	tls := readBackendTLS(r, object)
	found := findings(key, tls.unresolved)
	if len(tls.unresolved) == 0 {
		found = append(found, findings(key, tls.invalid)...)
	}
	if len(object.Spec.Options) > 0 {
		found = append(found, problem{field: "spec.options", message: "Sluice knows no options of a BackendTLSPolicy", fix: "remove them"}.finding(key, diagnostic.Warning))
	}
	refused := map[snapshot.Key][]problem{} // by Gateway
	holds := map[snapshot.Key]bool{}
	for i := range object.Spec.TargetRefs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		ref := &object.Spec.TargetRefs[i]
		kind, ok := snapshot.BackendKind(ref.Group, ref.Kind)
		if !ok {
			found = append(found, problem{field: field, message: fmt.Sprintf("Sluice sends no requests to objects of kind %s", groupKind(ref.Group, ref.Kind)), fix: "write a Service, or a Backend of group sluice.dev"}.finding(key, diagnostic.Error))
			continue
		}
		target := snapshot.Key{Kind: kind, Namespace: object.Namespace, Name: string(ref.Name)}
		p := refuseTarget(r, field, object, ref, target)
		if p != nil {
			found = append(found, p.finding(key, diagnostic.Error))
		}
		gateways := t.gatewaysTo(r, target)
		if p == nil && len(gateways) == 0 {
			found = append(found, problem{field: field, message: fmt.Sprintf("no route that Sluice serves leads to %s", target)}.finding(key, diagnostic.Info))
		}
		for _, gateway := range gateways {
			if p != nil {
				refused[gateway] = append(refused[gateway], *p)
			} else {
				holds[gateway] = true
			}
		}
	}
	var ancestors []gatewayv1.PolicyAncestorStatus
	for _, gateway := range slices.SortedFunc(maps.Keys(mergedGateways(holds, refused)), snapshot.Key.Compare) {
		ancestors = append(ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef:    ancestorRef(gateway, nil),
			ControllerName: t.options.ControllerName,
			Conditions:     status.Observed(object.Generation, tls.accepted(refused[gateway], holds[gateway]), tls.resolved()),
		})
	}
	if len(ancestors) > maxAncestors {
		found = append(found, problem{
			field:   "status.ancestors",
			message: fmt.Sprintf("%d Gateways have routes that lead to its targets, and the status takes %d: the policy holds for the others too, which nothing says", len(ancestors), maxAncestors),
			fix:     "divide the targets among several policies, or have fewer Gateways lead to them",
		}.finding(key, diagnostic.Warning))
	}
	if ancestors == nil {
		return status.Status{}, found
	}
	return status.Status{Policy: &gatewayv1.PolicyStatus{Ancestors: ancestors}}, found
}

func mergedGateways(holds map[snapshot.Key]bool, refused map[snapshot.Key][]problem) map[snapshot.Key]bool {
	all := maps.Clone(holds)
	for gateway := range refused {
		all[gateway] = true
	}
	return all
}

// refuseTarget says why the policy does not hold for a target; nil if it does.
func refuseTarget(r *reader, field string, object *gatewayv1.BackendTLSPolicy, ref *gatewayv1.LocalPolicyTargetReferenceWithSectionName, target snapshot.Key) *problem {
	section := deref(ref.SectionName)
	notFound := func(message, fix string) *problem {
		return &problem{reason: string(gatewayv1.PolicyReasonTargetNotFound), field: field, message: message, fix: fix}
	}
	switch found := r.Object(target).(type) {
	case nil:
		return notFound(fmt.Sprintf("%s does not exist", target), "write the name of an existing one in the same namespace, or create it")
	case *corev1.Service:
		if section != "" && !slices.ContainsFunc(found.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == string(section) }) {
			return notFound(fmt.Sprintf("%s has no port by the name %s", target, section), "write the name of one of its ports as sectionName")
		}
	default:
		if section != "" {
			return notFound(fmt.Sprintf("%s has no sections", target), "remove sectionName")
		}
	}
	first := firstPolicy(r, target, section)
	if first.Name == object.Name {
		return nil
	}
	return &problem{
		reason:  string(gatewayv1.PolicyReasonConflicted),
		field:   field,
		message: fmt.Sprintf("BackendTLSPolicy %s is for the same target and goes first, because it is %s", first.Name, why(first, object)),
		fix:     "remove one of the policies, or give this one another target",
	}
}

// accepted is True as long as the policy holds for one of the targets that the
// Gateway's routes lead to.
func (t *backendTLS) accepted(refused []problem, holds bool) metav1.Condition {
	const accepted = gatewayv1.PolicyConditionAccepted
	switch {
	case len(t.invalid) > 0:
		return failed(accepted, t.invalid)
	case !holds:
		return failed(accepted, refused)
	case len(refused) > 0:
		return status.True(accepted, gatewayv1.PolicyReasonAccepted, "the policy is valid, but does not hold everywhere: "+messages(refused))
	}
	return status.True(accepted, gatewayv1.PolicyReasonAccepted, "the policy is valid")
}

func (t *backendTLS) resolved() metav1.Condition {
	const resolved = gatewayv1.BackendTLSPolicyConditionResolvedRefs
	if len(t.unresolved) > 0 {
		return failed(resolved, t.unresolved)
	}
	return status.True(resolved, gatewayv1.BackendTLSPolicyReasonResolvedRefs, "all references are resolved")
}
