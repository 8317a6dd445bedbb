package snapshot

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// A bucket is the objects that share a property which others look them up by.
// Its name is a Key of a kind of its own, so that who depends on a bucket is
// recorded like who depends on an object.

// GrantsIn names the bucket of the ReferenceGrants of a namespace that allow
// something to objects of a kind in the namespace from. A namespace may have
// thousands of others.
func GrantsIn(namespace string, kind Kind, from string) Key {
	return Key{Kind: "ReferenceGrants to " + kind, Namespace: namespace, Name: from}
}

// SlicesOf names the bucket of the EndpointSlices of a Service.
func SlicesOf(namespace, service string) Key {
	return Key{Kind: "EndpointSlices of", Namespace: namespace, Name: service}
}

// BackendPoliciesOn names the bucket of the BackendTLSPolicies that target a
// Service or a Backend.
func BackendPoliciesOn(kind Kind, namespace, name string) Key {
	return Key{Kind: "BackendTLSPolicies on " + kind, Namespace: namespace, Name: name}
}

// ClientPoliciesOn names the bucket of the ClientPolicies that target a Gateway or
// a ListenerSet, or one of its listeners.
func ClientPoliciesOn(kind Kind, namespace, name string) Key {
	return Key{Kind: "ClientPolicies on " + kind, Namespace: namespace, Name: name}
}

// Replicas names the bucket of the Pods and the Leases of Sluice's replicas.
func Replicas() Key { return Key{Kind: "replicas"} }

// ServicesFor names the bucket of the Services that Sluice made for a Gateway.
func ServicesFor(namespace, gateway string) Key {
	return Key{Kind: "Services for Gateway", Namespace: namespace, Name: gateway}
}

// ListenerSetsOf names the bucket of the ListenerSets whose parent is a Gateway.
func ListenerSetsOf(namespace, gateway string) Key {
	return Key{Kind: "ListenerSets of Gateway", Namespace: namespace, Name: gateway}
}

// Buckets are the names of the buckets that hold the object; object may be nil.
func Buckets(object Object) []Key {
	switch o := object.(type) {
	case *gatewayv1.ReferenceGrant:
		var buckets []Key
		for _, from := range o.Spec.From {
			buckets = append(buckets, GrantsIn(o.Namespace, Kind(from.Kind), string(from.Namespace)))
		}
		return buckets
	case *discoveryv1.EndpointSlice:
		if service := o.Labels[discoveryv1.LabelServiceName]; service != "" {
			return []Key{SlicesOf(o.Namespace, service)}
		}
	case *gatewayv1.BackendTLSPolicy:
		var buckets []Key
		for _, target := range o.Spec.TargetRefs {
			if kind, ok := BackendKind(target.Group, target.Kind); ok {
				buckets = append(buckets, BackendPoliciesOn(kind, o.Namespace, string(target.Name)))
			}
		}
		return buckets
	case *v1alpha1.ClientPolicy:
		var buckets []Key
		for _, target := range o.Spec.TargetRefs {
			buckets = append(buckets, ClientPoliciesOn(Kind(target.Kind), o.Namespace, string(target.Name)))
		}
		return buckets
	case *corev1.Pod, *coordinationv1.Lease:
		return []Key{Replicas()}
	case *corev1.Service:
		owner := metav1.GetControllerOf(o)
		if owner != nil && owner.Kind == string(KindGateway) && owner.APIVersion == gatewayv1.GroupVersion.String() && o.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBySluice {
			return []Key{ServicesFor(o.Namespace, owner.Name)}
		}
	case *gatewayv1.ListenerSet:
		namespace := o.Namespace
		if o.Spec.ParentRef.Namespace != nil {
			namespace = string(*o.Spec.ParentRef.Namespace)
		}
		return []Key{ListenerSetsOf(namespace, string(o.Spec.ParentRef.Name))}
	}
	return nil
}

// BackendKind is the kind of the objects that requests are sent to, by group and
// kind of a reference; false for others.
func BackendKind(group gatewayv1.Group, kind gatewayv1.Kind) (Kind, bool) {
	switch {
	case group == "" && kind == gatewayv1.Kind(KindService):
		return KindService, true
	case group == v1alpha1.GroupName && kind == gatewayv1.Kind(KindBackend):
		return KindBackend, true
	}
	return "", false
}
