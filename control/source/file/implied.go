package file

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// The GatewayClass that is there without being written.
const (
	gatewayClassName = "sluice"
	controllerName   = "sluice.dev/gateway-controller"
)

var impliedClass = snapshot.Key{Kind: snapshot.KindGatewayClass, Name: gatewayClassName}

// isImplied is true of objects that a cluster with Sluice would have without anyone
// writing them: the namespaces of all objects, and the class "sluice".
func (r *record) isImplied(key snapshot.Key) bool {
	return key.Kind == snapshot.KindNamespace && r.members > 0 || key == impliedClass && len(r.written) == 0
}

// imply makes an entry of an object that is written nowhere.
func imply(key snapshot.Key, before *entry) *entry {
	if before != nil && !before.isWritten() {
		return before
	}
	var object snapshot.Object = newGatewayClass(key.Name)
	if key.Kind == snapshot.KindNamespace {
		object = newNamespace(key.Name)
	}
	whole := document{Text: mustMarshal(object)}.digest()
	return accept(&judged{Key: key, Whole: whole, Spec: whole, object: object}, before, origin{})
}

func newNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: string(snapshot.KindNamespace)},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}},
	}
}

func newGatewayClass(name string) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: string(snapshot.KindGatewayClass)},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: controllerName},
	}
}
