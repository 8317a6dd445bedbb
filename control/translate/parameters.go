package translate

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// classParameters are what a GatewayClass refers to by spec.parametersRef, and
// what is wrong with the reference.
func classParameters(r snapshot.Reader, class *gatewayv1.GatewayClass) (v1alpha1.GatewayParametersSpec, []problem) {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return v1alpha1.GatewayParametersSpec{}, nil
	}
	p := problem{reason: string(gatewayv1.GatewayClassReasonInvalidParameters), field: "spec.parametersRef"}
	return findParameters(r, p, ref.Group, ref.Kind, string(deref(ref.Namespace)), ref.Name)
}

// findParameters reads what a reference names; p is what the problem has whatever
// it is.
func findParameters(r snapshot.Reader, p problem, group gatewayv1.Group, kind gatewayv1.Kind, namespace, name string) (v1alpha1.GatewayParametersSpec, []problem) {
	if group != v1alpha1.GroupName || kind != gatewayv1.Kind(snapshot.KindGatewayParameters) {
		p.message = fmt.Sprintf("Sluice has no parameters of kind %s", groupKind(group, kind))
		p.fix = fmt.Sprintf("refer to %s.%s, or remove parametersRef", snapshot.KindGatewayParameters, v1alpha1.GroupName)
		return v1alpha1.GatewayParametersSpec{}, []problem{p}
	}
	if namespace == "" {
		p.message, p.fix = "GatewayParameters have a namespace, and the reference names none", "write the namespace"
		return v1alpha1.GatewayParametersSpec{}, []problem{p}
	}
	object := snapshot.Get[*v1alpha1.GatewayParameters](r, namespace, name)
	if object == nil {
		p.message = fmt.Sprintf("GatewayParameters %s/%s do not exist", namespace, name)
		p.fix = "write the name of existing ones, or create them"
		return v1alpha1.GatewayParametersSpec{}, []problem{p}
	}
	return object.Spec, nil
}

// readParameters merges the Gateway's parameters into those of its class.
func (g *gateway) readParameters(r snapshot.Reader, class *gatewayv1.GatewayClass) {
	g.parameters, _ = classParameters(r, class) // problems are told of the class
	infrastructure := g.object.Spec.Infrastructure
	if infrastructure == nil || infrastructure.ParametersRef == nil {
		return
	}
	ref := infrastructure.ParametersRef
	p := problem{reason: string(gatewayv1.GatewayReasonInvalidParameters), field: "spec.infrastructure.parametersRef"}
	own, problems := findParameters(r, p, ref.Group, ref.Kind, g.key.Namespace, ref.Name)
	if own.AllowLocalBackends != nil {
		p.message = fmt.Sprintf("GatewayParameters %s/%s set allowLocalBackends, which only those of a GatewayClass may", g.key.Namespace, ref.Name)
		p.fix = "remove the field, and have who owns the GatewayClass set it"
		problems = append(problems, p)
	}
	g.invalid = append(g.invalid, problems...)
	g.parameters.Service = mergeService(own.Service, g.parameters.Service)
}

// mergeService takes the type from the first that names one, and with it what
// belongs to the type; other fields one by one.
func mergeService(own, class v1alpha1.ServiceParameters) v1alpha1.ServiceParameters {
	if own.Type != "" && own.Type != cmp.Or(class.Type, corev1.ServiceTypeLoadBalancer) {
		return own
	}
	if own.ExternalTrafficPolicy != "" {
		class.ExternalTrafficPolicy = own.ExternalTrafficPolicy
	}
	if own.LoadBalancerClass != nil {
		class.LoadBalancerClass = own.LoadBalancerClass
	}
	return class
}
