package control

import (
	"encoding/json"
	"fmt"
	"maps"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// List is objects with their statuses, and what there is to say of them. Its
// JSON is a Kubernetes List of the objects with a member more, "diagnostics".
// What Secrets hold is never part of it.
type List struct {
	Objects     []snapshot.Object
	Diagnostics []diagnostic.Diagnostic
}

// printedList is a List's form in JSON.
type printedList[Item any] struct {
	APIVersion  string                  `json:"apiVersion"`
	Kind        string                  `json:"kind"`
	Items       []Item                  `json:"items"`
	Diagnostics []diagnostic.Diagnostic `json:"diagnostics,omitempty"`
}

// MarshalJSON prints the list. Every object has its apiVersion and kind,
// whatever version it was written in.
func (l List) MarshalJSON() ([]byte, error) {
	items := make([]snapshot.Object, len(l.Objects))
	for i, object := range l.Objects {
		items[i] = printable(object)
	}
	return json.Marshal(printedList[snapshot.Object]{APIVersion: "v1", Kind: "List", Items: items, Diagnostics: l.Diagnostics})
}

// UnmarshalJSON reads what MarshalJSON printed. It fails on kinds that Sluice
// does not know, which a newer Sluice may print.
func (l *List) UnmarshalJSON(b []byte) error {
	var printed printedList[json.RawMessage]
	if err := json.Unmarshal(b, &printed); err != nil {
		return err
	}
	if printed.Kind != "List" {
		return fmt.Errorf("want a List of objects, got what has the kind %q", printed.Kind)
	}
	*l = List{Diagnostics: printed.Diagnostics}
	for _, item := range printed.Items {
		var head struct{ Kind snapshot.Kind }
		if err := json.Unmarshal(item, &head); err != nil {
			return err
		}
		object := newObject(head.Kind)
		if object == nil {
			return fmt.Errorf("objects of kind %q are unknown to this version of sluice", head.Kind)
		}
		if err := json.Unmarshal(item, object); err != nil {
			return err
		}
		l.Objects = append(l.Objects, object)
	}
	return nil
}

// printable is a copy of the object with its kind and without secrets.
func printable(object snapshot.Object) snapshot.Object {
	object = object.DeepCopyObject().(snapshot.Object)
	kind := snapshot.KindOf(object)
	object.GetObjectKind().SetGroupVersionKind(groupVersion(object).WithKind(string(kind)))
	if secret, ok := object.(*corev1.Secret); ok {
		redact(secret)
	}
	return object
}

// redact keeps the names of what a Secret holds. kubectl keeps a copy of all of
// it in an annotation.
func redact(secret *corev1.Secret) {
	for name := range secret.Data {
		secret.Data[name] = []byte("redacted")
	}
	for name := range secret.StringData {
		secret.StringData[name] = "redacted"
	}
	maps.DeleteFunc(secret.Annotations, func(name, _ string) bool {
		return name == corev1.LastAppliedConfigAnnotation
	})
}

// groupVersion is the version in which objects of this type are printed.
func groupVersion(object snapshot.Object) schema.GroupVersion {
	switch object.(type) {
	case *corev1.Namespace, *corev1.Service, *corev1.Secret, *corev1.ConfigMap, *corev1.Pod:
		return corev1.SchemeGroupVersion
	case *coordinationv1.Lease:
		return coordinationv1.SchemeGroupVersion
	case *metav1.PartialObjectMetadata: // see snapshot.KindCustomResourceDefinition
		return schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}
	case *discoveryv1.EndpointSlice:
		return discoveryv1.SchemeGroupVersion
	case *gatewayx.XBackend, *gatewayx.XBackendTrafficPolicy, *gatewayx.XMesh:
		return schema.GroupVersion(gatewayx.GroupVersion)
	case *v1alpha1.Backend, *v1alpha1.GatewayParameters:
		return v1alpha1.GroupVersion
	}
	return schema.GroupVersion(gatewayv1.GroupVersion)
}

func newObject(kind snapshot.Kind) snapshot.Object {
	for _, object := range []snapshot.Object{
		&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{},
		&gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}, &gatewayv1.TLSRoute{}, &gatewayv1.TCPRoute{}, &gatewayv1.UDPRoute{},
		&gatewayv1.ReferenceGrant{}, &gatewayv1.BackendTLSPolicy{},
		&gatewayx.XBackend{}, &gatewayx.XBackendTrafficPolicy{}, &gatewayx.XMesh{},
		&corev1.Namespace{}, &corev1.Service{}, &corev1.Secret{}, &corev1.ConfigMap{},
		&discoveryv1.EndpointSlice{}, &v1alpha1.Backend{}, &v1alpha1.GatewayParameters{},
		&corev1.Pod{}, &coordinationv1.Lease{}, &metav1.PartialObjectMetadata{},
	} {
		if snapshot.KindOf(object) == kind {
			return object
		}
	}
	return nil
}
