package snapshot

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Kind is the kind of an object that Sluice reads: "HTTPRoute", "Service".
// Kinds of different API groups that Sluice reads never share a name.
type Kind string

// Key names one object. Namespace is empty for cluster-scoped kinds.
type Key struct {
	Kind            Kind
	Namespace, Name string
}

// String is "HTTPRoute default/shop", or "GatewayClass sluice", or "HTTPRoute" of
// an object without a name.
func (k Key) String() string {
	if k.Name == "" {
		return string(k.Kind)
	}
	var b strings.Builder
	b.WriteString(string(k.Kind))
	b.WriteByte(' ')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(k.Name)
	return b.String()
}

// Object is a typed object of the Kubernetes API, such as *gatewayv1.HTTPRoute.
// It is never changed once it is part of a Snapshot.
type Object interface {
	metav1.Object
	runtime.Object
}

// Change sets an object, or removes it where Object is nil.
type Change struct {
	Key    Key
	Object Object
}
