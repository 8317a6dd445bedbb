package snapshot

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// The kinds of objects in a Snapshot. Each stands for one Go type, whatever
// apiVersion the object was written in.
const (
	KindGatewayClass          Kind = "GatewayClass"
	KindGateway               Kind = "Gateway"
	KindHTTPRoute             Kind = "HTTPRoute"
	KindReferenceGrant        Kind = "ReferenceGrant"
	KindGRPCRoute             Kind = "GRPCRoute"
	KindTLSRoute              Kind = "TLSRoute"
	KindTCPRoute              Kind = "TCPRoute"
	KindUDPRoute              Kind = "UDPRoute"
	KindBackendTLSPolicy      Kind = "BackendTLSPolicy"
	KindListenerSet           Kind = "ListenerSet"
	KindXBackend              Kind = "XBackend"
	KindXBackendTrafficPolicy Kind = "XBackendTrafficPolicy"
	KindXMesh                 Kind = "XMesh"
	KindNamespace             Kind = "Namespace"
	KindService               Kind = "Service"
	KindSecret                Kind = "Secret"
	KindConfigMap             Kind = "ConfigMap"
	KindEndpointSlice         Kind = "EndpointSlice"
	KindBackend               Kind = "Backend"
	KindGatewayParameters     Kind = "GatewayParameters"
	KindClientPolicy          Kind = "ClientPolicy"

	// Of these a Snapshot holds only what concerns Sluice's own replicas: their
	// Pods and the Leases in which they say what they serve.
	KindPod   Kind = "Pod"
	KindLease Kind = "Lease"

	// KindCustomResourceDefinition stands for the metadata of a definition, not
	// its schema. It is the only kind that a Snapshot holds as metadata.
	KindCustomResourceDefinition Kind = "CustomResourceDefinition"
)

// KindOf is the kind of a typed object, which may be a nil pointer. It is empty
// for types that a Snapshot does not hold.
func KindOf(object Object) Kind {
	switch object.(type) {
	case *gatewayv1.GatewayClass:
		return KindGatewayClass
	case *gatewayv1.Gateway:
		return KindGateway
	case *gatewayv1.HTTPRoute:
		return KindHTTPRoute
	case *gatewayv1.ReferenceGrant:
		return KindReferenceGrant
	case *gatewayv1.GRPCRoute:
		return KindGRPCRoute
	case *gatewayv1.TLSRoute:
		return KindTLSRoute
	case *gatewayv1.TCPRoute:
		return KindTCPRoute
	case *gatewayv1.UDPRoute:
		return KindUDPRoute
	case *gatewayv1.BackendTLSPolicy:
		return KindBackendTLSPolicy
	case *gatewayv1.ListenerSet:
		return KindListenerSet
	case *gatewayx.XBackend:
		return KindXBackend
	case *gatewayx.XBackendTrafficPolicy:
		return KindXBackendTrafficPolicy
	case *gatewayx.XMesh:
		return KindXMesh
	case *corev1.Namespace:
		return KindNamespace
	case *corev1.Service:
		return KindService
	case *corev1.Secret:
		return KindSecret
	case *corev1.ConfigMap:
		return KindConfigMap
	case *discoveryv1.EndpointSlice:
		return KindEndpointSlice
	case *v1alpha1.Backend:
		return KindBackend
	case *v1alpha1.GatewayParameters:
		return KindGatewayParameters
	case *v1alpha1.ClientPolicy:
		return KindClientPolicy
	case *corev1.Pod:
		return KindPod
	case *coordinationv1.Lease:
		return KindLease
	case *metav1.PartialObjectMetadata:
		return KindCustomResourceDefinition
	}
	return ""
}

// KeyOf is the key of a typed object.
func KeyOf(object Object) Key {
	return Key{Kind: KindOf(object), Namespace: object.GetNamespace(), Name: object.GetName()}
}
