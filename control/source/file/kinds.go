package file

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	sluicev1alpha1 "github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	gatewayGroup      = "gateway.networking.k8s.io"
	gatewayXGroup     = "gateway.networking.x-k8s.io"
	defaultNamespace  = "default"
	gatewayClassName  = "sluice"
	controllerName    = "sluice.dev/gateway-controller"
	namespaceNameKey  = "kubernetes.io/metadata.name"
	kindNamespace     = snapshot.Kind("Namespace")
	kindGatewayClass  = snapshot.Kind("GatewayClass")
	coreVersion       = "v1"
	gatewayVersion    = "v1"
	experimentVersion = "v1alpha1"
)

// kind is a kind of object that Sluice reads.
type kind struct {
	Group string
	// Version is the one whose Go type Sluice uses. Other served versions are
	// converted to it.
	Version    string
	Name       snapshot.Kind
	Namespaced bool
	New        func() snapshot.Object
	// Core holds what is done to a kind of Kubernetes itself; nil for custom
	// resources, whose definitions say all of it.
	Core *coreKind
}

func (k *kind) apiVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// kinds are all that Sluice reads.
var kinds = []kind{
	{Group: gatewayGroup, Version: gatewayVersion, Name: kindGatewayClass, New: newObject[gatewayv1.GatewayClass]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "Gateway", Namespaced: true, New: newObject[gatewayv1.Gateway]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "ListenerSet", Namespaced: true, New: newObject[gatewayv1.ListenerSet]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "HTTPRoute", Namespaced: true, New: newObject[gatewayv1.HTTPRoute]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "GRPCRoute", Namespaced: true, New: newObject[gatewayv1.GRPCRoute]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "TLSRoute", Namespaced: true, New: newObject[gatewayv1.TLSRoute]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "TCPRoute", Namespaced: true, New: newObject[gatewayv1.TCPRoute]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "UDPRoute", Namespaced: true, New: newObject[gatewayv1.UDPRoute]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "ReferenceGrant", Namespaced: true, New: newObject[gatewayv1.ReferenceGrant]},
	{Group: gatewayGroup, Version: gatewayVersion, Name: "BackendTLSPolicy", Namespaced: true, New: newObject[gatewayv1.BackendTLSPolicy]},
	{Group: gatewayXGroup, Version: experimentVersion, Name: "XBackend", Namespaced: true, New: newObject[gatewayxv1alpha1.XBackend]},
	{Group: gatewayXGroup, Version: experimentVersion, Name: "XBackendTrafficPolicy", Namespaced: true, New: newObject[gatewayxv1alpha1.XBackendTrafficPolicy]},
	{Group: gatewayXGroup, Version: experimentVersion, Name: "XMesh", New: newObject[gatewayxv1alpha1.XMesh]},
	{Group: sluicev1alpha1.GroupName, Version: experimentVersion, Name: "Backend", Namespaced: true, New: newObject[sluicev1alpha1.Backend]},

	{Version: coreVersion, Name: kindNamespace, New: newObject[corev1.Namespace], Core: &namespaceKind},
	{Version: coreVersion, Name: "Service", Namespaced: true, New: newObject[corev1.Service], Core: &serviceKind},
	{Version: coreVersion, Name: "Secret", Namespaced: true, New: newObject[corev1.Secret], Core: &secretKind},
	{Version: coreVersion, Name: "ConfigMap", Namespaced: true, New: newObject[corev1.ConfigMap], Core: &configMapKind},
	{Group: "discovery.k8s.io", Version: coreVersion, Name: "EndpointSlice", Namespaced: true, New: newObject[discoveryv1.EndpointSlice], Core: &endpointSliceKind},
}

func newObject[T any, P interface {
	*T
	snapshot.Object
}]() snapshot.Object {
	return P(new(T))
}

// kindNamed finds a kind by its name alone, which no two kinds share; nil if there
// is none.
func kindNamed(name snapshot.Kind) *kind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}

// ownsGroup is true of groups whose every kind Sluice knows, so that an unknown kind
// in them is a mistake rather than something for another program.
func ownsGroup(group string) bool {
	return group == gatewayGroup || group == gatewayXGroup || group == sluicev1alpha1.GroupName
}

// formerNames are kinds that go by another name today.
var formerNames = map[string]snapshot.Kind{
	"ReferencePolicy": "ReferenceGrant",
	"XListenerSet":    "ListenerSet",
}
