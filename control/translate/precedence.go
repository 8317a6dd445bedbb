package translate

import (
	"cmp"
	"iter"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// firsts are, for each section of a target that policies name, the policy that goes
// before the others; the empty section is the whole.
type firsts map[gatewayv1.SectionName]snapshot.Object

// goesFirst reports whether a policy takes precedence over another one for the same
// target: it is older, or else first by name (GEP-713).
func goesFirst(a, b metav1.Object) bool {
	created := a.GetCreationTimestamp()
	return cmp.Or(
		created.Compare(b.GetCreationTimestamp().Time),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	) < 0
}

func isPolicy(kind snapshot.Kind) bool {
	return kind == snapshot.KindClientPolicy || kind == snapshot.KindBackendTLSPolicy
}

// rankPolicies finds the policies that go first on the targets that changed policies
// name. There may be thousands for one target, of which only the first concerns the
// others: so they are compared once, and not by each of them.
func (t *Translator) rankPolicies() {
	for bucket := range t.work.policies {
		next := firsts{}
		for policy := range t.snapshot.Bucket(bucket) {
			for target, section := range policyTargets(policy) {
				if first := next[section]; target == bucket && (first == nil || goesFirst(policy, first)) {
					next[section] = policy
				}
			}
		}
		if maps.Equal(t.firsts[bucket], next) {
			continue
		}
		if t.firsts[bucket] = next; len(next) == 0 {
			delete(t.firsts, bucket)
		}
		t.graph.touch(bucket)
	}
}

// policyTargets are what a policy targets: the bucket of all policies on it, and the
// section. There are none of what is no policy.
func policyTargets(object snapshot.Object) iter.Seq2[snapshot.Key, gatewayv1.SectionName] {
	return func(yield func(snapshot.Key, gatewayv1.SectionName) bool) {
		switch o := object.(type) {
		case *gatewayv1.BackendTLSPolicy:
			for _, ref := range o.Spec.TargetRefs {
				kind, ok := snapshot.BackendKind(ref.Group, ref.Kind)
				if ok && !yield(snapshot.BackendPoliciesOn(kind, o.Namespace, string(ref.Name)), deref(ref.SectionName)) {
					return
				}
			}
		case *v1alpha1.ClientPolicy:
			for _, ref := range o.Spec.TargetRefs {
				if ref.Group == gatewayv1.GroupName && !yield(snapshot.ClientPoliciesOn(snapshot.Kind(ref.Kind), o.Namespace, string(ref.Name)), deref(ref.SectionName)) {
					return
				}
			}
		}
	}
}

// firstsOn are the policies that go first among those of a bucket.
func (r *reader) firstsOn(bucket snapshot.Key) firsts {
	r.read[bucket] = struct{}{}
	return r.firsts[bucket]
}
