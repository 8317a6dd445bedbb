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
	gatewayGroup  = gatewayv1.GroupName
	gatewayXGroup = gatewayxv1alpha1.GroupName
	sluiceGroup   = sluicev1alpha1.GroupName
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
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindGatewayClass, New: newObject[gatewayv1.GatewayClass]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindGateway, Namespaced: true, New: newObject[gatewayv1.Gateway]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindListenerSet, Namespaced: true, New: newObject[gatewayv1.ListenerSet]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindHTTPRoute, Namespaced: true, New: newObject[gatewayv1.HTTPRoute]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindGRPCRoute, Namespaced: true, New: newObject[gatewayv1.GRPCRoute]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindTLSRoute, Namespaced: true, New: newObject[gatewayv1.TLSRoute]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindTCPRoute, Namespaced: true, New: newObject[gatewayv1.TCPRoute]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindUDPRoute, Namespaced: true, New: newObject[gatewayv1.UDPRoute]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindReferenceGrant, Namespaced: true, New: newObject[gatewayv1.ReferenceGrant]},
	{Group: gatewayGroup, Version: "v1", Name: snapshot.KindBackendTLSPolicy, Namespaced: true, New: newObject[gatewayv1.BackendTLSPolicy]},
	{Group: gatewayXGroup, Version: "v1alpha1", Name: snapshot.KindXBackend, Namespaced: true, New: newObject[gatewayxv1alpha1.XBackend]},
	{Group: gatewayXGroup, Version: "v1alpha1", Name: snapshot.KindXBackendTrafficPolicy, Namespaced: true, New: newObject[gatewayxv1alpha1.XBackendTrafficPolicy]},
	{Group: gatewayXGroup, Version: "v1alpha1", Name: snapshot.KindXMesh, New: newObject[gatewayxv1alpha1.XMesh]},
	{Group: sluiceGroup, Version: "v1alpha1", Name: snapshot.KindBackend, Namespaced: true, New: newObject[sluicev1alpha1.Backend]},
	{Group: sluiceGroup, Version: "v1alpha1", Name: snapshot.KindGatewayParameters, Namespaced: true, New: newObject[sluicev1alpha1.GatewayParameters]},
	{Group: sluiceGroup, Version: "v1alpha1", Name: snapshot.KindClientPolicy, Namespaced: true, New: newObject[sluicev1alpha1.ClientPolicy]},

	{Version: "v1", Name: snapshot.KindNamespace, New: newObject[corev1.Namespace], Core: &namespaceKind},
	{Version: "v1", Name: snapshot.KindService, Namespaced: true, New: newObject[corev1.Service], Core: &serviceKind},
	{Version: "v1", Name: snapshot.KindSecret, Namespaced: true, New: newObject[corev1.Secret], Core: &secretKind},
	{Version: "v1", Name: snapshot.KindConfigMap, Namespaced: true, New: newObject[corev1.ConfigMap], Core: &configMapKind},
	{Group: discoveryv1.GroupName, Version: "v1", Name: snapshot.KindEndpointSlice, Namespaced: true, New: newObject[discoveryv1.EndpointSlice], Core: &endpointSliceKind},
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
	return group == gatewayGroup || group == gatewayXGroup || group == sluiceGroup
}

// formerNames are kinds that go by another name today.
var formerNames = map[string]snapshot.Kind{
	"ReferencePolicy": snapshot.KindReferenceGrant,
	"XListenerSet":    snapshot.KindListenerSet,
}
