package cli

import (
	"io"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// policyTable has a row for each ancestor of each policy.
func policyTable(w io.Writer, objects []snapshot.Object) error {
	t := newTable(w, "NAMESPACE", "KIND", "POLICY", "TARGETS", "ANCESTOR", "STATUS")
	for _, object := range objects {
		row := func(ancestor, verdict string) {
			t.row(object.GetNamespace(), string(snapshot.KindOf(object)), object.GetName(), targets(object), ancestor, verdict)
		}
		said := status.Of(object)
		if said.Policy == nil || len(said.Policy.Ancestors) == 0 {
			row("", "nothing of ours is concerned")
			continue
		}
		for _, a := range said.Policy.Ancestors {
			row(strings.TrimPrefix(control.ParentName(a.AncestorRef), "Gateway "), verdict(a.Conditions, "Accepted"))
		}
	}
	return t.end("no policies")
}

// targets are what a policy is about; of a target with a section that too.
func targets(policy snapshot.Object) string {
	var refs []gatewayv1.LocalPolicyTargetReferenceWithSectionName
	switch p := policy.(type) {
	case *v1alpha1.ClientPolicy:
		refs = p.Spec.TargetRefs
	case *gatewayv1.BackendTLSPolicy:
		refs = p.Spec.TargetRefs
	}
	var names []string
	for _, ref := range refs {
		name := string(ref.Kind) + " " + string(ref.Name)
		if ref.SectionName != nil {
			name += ":" + string(*ref.SectionName)
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}
