package attach

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// From is who refers to an object in another namespace.
type From struct {
	Group     gatewayv1.Group
	Kind      gatewayv1.Kind
	Namespace string
}

// To is an object that is referred to.
type To struct {
	Group           gatewayv1.Group
	Kind            gatewayv1.Kind
	Namespace, Name string
}

// Granted finds the ReferenceGrant, in the namespace of the object referred to,
// that allows the reference. It is nil if there is none. References within a
// namespace need no grant and are not for Granted.
func Granted(r snapshot.Reader, from From, to To) *gatewayv1.ReferenceGrant {
	for grant := range snapshot.Each[*gatewayv1.ReferenceGrant](r, snapshot.GrantsIn(to.Namespace, snapshot.Kind(from.Kind), from.Namespace)) {
		if trusts(grant, from) && covered(grant, to) {
			return grant
		}
	}
	return nil
}

func trusts(grant *gatewayv1.ReferenceGrant, from From) bool {
	for _, f := range grant.Spec.From {
		if f.Group == from.Group && f.Kind == from.Kind && string(f.Namespace) == from.Namespace {
			return true
		}
	}
	return false
}

func covered(grant *gatewayv1.ReferenceGrant, to To) bool {
	for _, t := range grant.Spec.To {
		if t.Group == to.Group && t.Kind == to.Kind && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name) {
			return true
		}
	}
	return false
}
