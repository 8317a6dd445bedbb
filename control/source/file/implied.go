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

// imply adds the objects that a cluster with Sluice would have without anyone writing
// them into the files: the namespaces of all objects, and the class "sluice".
func (p *posting) imply() {
	namespaces := map[string]bool{}
	for key := range p.next {
		if key.Namespace != "" {
			namespaces[key.Namespace] = true
		}
	}
	for name := range namespaces {
		p.implyObject(snapshot.Key{Kind: snapshot.KindNamespace, Name: name}, newNamespace)
	}
	class := snapshot.Key{Kind: snapshot.KindGatewayClass, Name: gatewayClassName}
	if _, refused := p.owners[class]; !refused {
		p.implyObject(class, newGatewayClass)
	}
}

// implyObject adds an object unless it is written somewhere.
func (p *posting) implyObject(key snapshot.Key, create func(name string) snapshot.Object) {
	if p.next[key] != nil {
		return
	}
	before := p.before[key]
	if before != nil && before.origin == (origin{}) {
		p.next[key] = before
		return
	}
	object := create(key.Name)
	whole := document{Text: mustMarshal(object)}.digest()
	p.next[key] = accept(&judged{Key: key, Whole: whole, Spec: whole, object: object}, before, origin{})
}

func newNamespace(name string) snapshot.Object {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: string(snapshot.KindNamespace)},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}},
	}
}

func newGatewayClass(name string) snapshot.Object {
	return &gatewayv1.GatewayClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: string(snapshot.KindGatewayClass)},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: controllerName},
	}
}
