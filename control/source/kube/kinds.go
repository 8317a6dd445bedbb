package kube

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// kind is how the API server keeps the objects of a kind, and what is read of them.
type kind struct {
	name     snapshot.Kind
	version  schema.GroupVersion
	resource string
	// cluster says that the objects have no namespace.
	cluster bool
	object  func() snapshot.Object
	list    func() runtime.Object
	// spoken says that what others write into the kind's status is nothing to the
	// translation: Sluice speaks there itself, or nobody of interest does.
	spoken bool
	// served says that a missing definition is worth a warning: routes of other
	// kinds may well be absent.
	served bool
	// referent says that objects are read as metadata, and those whole that something
	// refers to.
	referent bool
	// replicas says that only what concerns Sluice's own replicas is read.
	replicas bool
}

// custom reports whether the kind is defined by a CustomResourceDefinition.
func (k kind) custom() bool {
	return k.version.Group == gatewayv1.GroupName || k.version.Group == v1alpha1.GroupName
}

// definition is the name of the kind's CustomResourceDefinition.
func (k kind) definition() string { return k.resource + "." + k.version.Group }

var gatewayGroup = schema.GroupVersion(gatewayv1.GroupVersion)

// kinds are all that is read whole. Referents and definitions are read as metadata.
var kinds = []kind{
	{name: snapshot.KindGatewayClass, version: gatewayGroup, resource: "gatewayclasses", cluster: true, spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.GatewayClass{} }, list: func() runtime.Object { return &gatewayv1.GatewayClassList{} }},
	{name: snapshot.KindGateway, version: gatewayGroup, resource: "gateways", spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.Gateway{} }, list: func() runtime.Object { return &gatewayv1.GatewayList{} }},
	{name: snapshot.KindListenerSet, version: gatewayGroup, resource: "listenersets", spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.ListenerSet{} }, list: func() runtime.Object { return &gatewayv1.ListenerSetList{} }},
	{name: snapshot.KindHTTPRoute, version: gatewayGroup, resource: "httproutes", spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.HTTPRoute{} }, list: func() runtime.Object { return &gatewayv1.HTTPRouteList{} }},
	{name: snapshot.KindReferenceGrant, version: gatewayGroup, resource: "referencegrants", served: true,
		object: func() snapshot.Object { return &gatewayv1.ReferenceGrant{} }, list: func() runtime.Object { return &gatewayv1.ReferenceGrantList{} }},
	{name: snapshot.KindGRPCRoute, version: gatewayGroup, resource: "grpcroutes", spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.GRPCRoute{} }, list: func() runtime.Object { return &gatewayv1.GRPCRouteList{} }},
	{name: snapshot.KindTLSRoute, version: gatewayGroup, resource: "tlsroutes", spoken: true,
		object: func() snapshot.Object { return &gatewayv1.TLSRoute{} }, list: func() runtime.Object { return &gatewayv1.TLSRouteList{} }},
	{name: snapshot.KindTCPRoute, version: gatewayGroup, resource: "tcproutes", spoken: true,
		object: func() snapshot.Object { return &gatewayv1.TCPRoute{} }, list: func() runtime.Object { return &gatewayv1.TCPRouteList{} }},
	{name: snapshot.KindUDPRoute, version: gatewayGroup, resource: "udproutes", spoken: true,
		object: func() snapshot.Object { return &gatewayv1.UDPRoute{} }, list: func() runtime.Object { return &gatewayv1.UDPRouteList{} }},
	{name: snapshot.KindBackendTLSPolicy, version: gatewayGroup, resource: "backendtlspolicies", spoken: true, served: true,
		object: func() snapshot.Object { return &gatewayv1.BackendTLSPolicy{} }, list: func() runtime.Object { return &gatewayv1.BackendTLSPolicyList{} }},
	{name: snapshot.KindBackend, version: v1alpha1.GroupVersion, resource: "backends", spoken: true, served: true,
		object: func() snapshot.Object { return &v1alpha1.Backend{} }, list: func() runtime.Object { return &v1alpha1.BackendList{} }},
	{name: snapshot.KindClientPolicy, version: v1alpha1.GroupVersion, resource: "clientpolicies", spoken: true, served: true,
		object: func() snapshot.Object { return &v1alpha1.ClientPolicy{} }, list: func() runtime.Object { return &v1alpha1.ClientPolicyList{} }},
	{name: snapshot.KindGatewayParameters, version: v1alpha1.GroupVersion, resource: "gatewayparameters", served: true,
		object: func() snapshot.Object { return &v1alpha1.GatewayParameters{} }, list: func() runtime.Object { return &v1alpha1.GatewayParametersList{} }},

	{name: snapshot.KindNamespace, version: corev1.SchemeGroupVersion, resource: "namespaces", cluster: true, spoken: true, served: true,
		object: func() snapshot.Object { return &corev1.Namespace{} }, list: func() runtime.Object { return &corev1.NamespaceList{} }},
	{name: snapshot.KindService, version: corev1.SchemeGroupVersion, resource: "services", served: true,
		object: func() snapshot.Object { return &corev1.Service{} }, list: func() runtime.Object { return &corev1.ServiceList{} }},
	{name: snapshot.KindEndpointSlice, version: discoveryv1.SchemeGroupVersion, resource: "endpointslices", served: true,
		object: func() snapshot.Object { return &discoveryv1.EndpointSlice{} }, list: func() runtime.Object { return &discoveryv1.EndpointSliceList{} }},
	{name: snapshot.KindPod, version: corev1.SchemeGroupVersion, resource: "pods", served: true, replicas: true,
		object: func() snapshot.Object { return &corev1.Pod{} }, list: func() runtime.Object { return &corev1.PodList{} }},
	{name: snapshot.KindLease, version: coordinationv1.SchemeGroupVersion, resource: "leases", served: true, replicas: true,
		object: func() snapshot.Object { return &coordinationv1.Lease{} }, list: func() runtime.Object { return &coordinationv1.LeaseList{} }},
}

// referents are read as metadata, and one by one where something refers to them.
var referents = []kind{
	{name: snapshot.KindSecret, version: corev1.SchemeGroupVersion, resource: "secrets", served: true, referent: true,
		object: func() snapshot.Object { return &corev1.Secret{} }},
	{name: snapshot.KindConfigMap, version: corev1.SchemeGroupVersion, resource: "configmaps", served: true, referent: true,
		object: func() snapshot.Object { return &corev1.ConfigMap{} }},
}

// definitions are read as metadata.
var definitions = kind{name: snapshot.KindCustomResourceDefinition, resource: "customresourcedefinitions", cluster: true,
	version: schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"},
	object:  func() snapshot.Object { return &metav1.PartialObjectMetadata{} }}

// kindOf finds a kind by its name.
func kindOf(name snapshot.Kind) (kind, bool) {
	for _, all := range [][]kind{kinds, referents} {
		for _, k := range all {
			if k.name == name {
				return k, true
			}
		}
	}
	return kind{}, false
}

// newScheme knows the kinds that are read and no other: a scheme of all groups
// would cost megabytes that a gateway needs for nothing.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, k := range kinds {
		metav1.AddToGroupVersion(scheme, k.version)
		scheme.AddKnownTypes(k.version, k.object(), k.list())
	}
	for _, k := range referents {
		scheme.AddKnownTypes(k.version, k.object())
	}
	return scheme
}
