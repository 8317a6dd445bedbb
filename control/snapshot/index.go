package snapshot

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A bucket is the objects that share a property which others look them up by.
// Its name is a Key of a kind of its own, so that who depends on a bucket is
// recorded like who depends on an object.

// GrantsIn names the bucket of the ReferenceGrants of a namespace.
func GrantsIn(namespace string) Key {
	return Key{Kind: "ReferenceGrants in", Namespace: namespace}
}

// SlicesOf names the bucket of the EndpointSlices of a Service.
func SlicesOf(namespace, service string) Key {
	return Key{Kind: "EndpointSlices of", Namespace: namespace, Name: service}
}

// PoliciesOn names the bucket of the BackendTLSPolicies that target a Service.
func PoliciesOn(namespace, service string) Key {
	return Key{Kind: "BackendTLSPolicies on", Namespace: namespace, Name: service}
}

// Buckets are the names of the buckets that hold the object; object may be nil.
func Buckets(object Object) []Key {
	switch o := object.(type) {
	case *gatewayv1.ReferenceGrant:
		return []Key{GrantsIn(o.Namespace)}
	case *discoveryv1.EndpointSlice:
		if service := o.Labels[discoveryv1.LabelServiceName]; service != "" {
			return []Key{SlicesOf(o.Namespace, service)}
		}
	case *gatewayv1.BackendTLSPolicy:
		var buckets []Key
		for _, target := range o.Spec.TargetRefs {
			if target.Group == "" && target.Kind == "Service" {
				buckets = append(buckets, PoliciesOn(o.Namespace, string(target.Name)))
			}
		}
		return buckets
	}
	return nil
}
