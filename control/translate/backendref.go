package translate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// backendName names a backend of the configuration.
type backendName struct {
	kind            snapshot.Kind
	namespace, name string
	// port is 0 for a Backend object.
	port gatewayv1.PortNumber
	// local says that a Backend object may name what only the data plane can reach.
	local bool
}

// String is the name in the configuration.
func (n backendName) String() string {
	name := fmt.Sprintf("%s/%s/%s", strings.ToLower(string(n.kind)), n.namespace, n.name)
	if n.port != 0 {
		name = fmt.Sprintf("%s:%d", name, n.port)
	}
	if n.local {
		name += " (local)"
	}
	return name
}

// weighted translates one of a rule's backendRefs. One that is wrong keeps its
// share of the requests, and answers them with an error.
func (t *ruleTranslator) weighted(field string, ref *gatewayv1.HTTPBackendRef, matches []gatewayv1.HTTPRouteMatch) config.BackendRef {
	next := config.BackendRef{Weight: 1}
	if ref.Weight != nil {
		next.Weight = *ref.Weight
	}
	next.Filters, next.Fault = t.filters(field, ref.Filters, matches)
	name, unresolved := t.resolve(field, ref.BackendObjectReference)
	if unresolved != nil {
		t.unresolved = append(t.unresolved, *unresolved)
		next.Fault = t.fault(unresolved.message)
		return next
	}
	t.backends = append(t.backends, name)
	next.Backend = name.String()
	return next
}

// resolve finds what a reference to a backend names, or what is wrong with it.
// Whether it is granted is asked before whether it exists: who may not refer to
// an object must not learn of it.
func (t *ruleTranslator) resolve(field string, ref gatewayv1.BackendObjectReference) (backendName, *problem) {
	target := attach.To{Kind: "Service", Namespace: t.route.Namespace, Name: string(ref.Name)}
	if ref.Group != nil {
		target.Group = *ref.Group
	}
	if ref.Kind != nil {
		target.Kind = *ref.Kind
	}
	if ref.Namespace != nil {
		target.Namespace = string(*ref.Namespace)
	}
	find := t.service
	switch groupKind(target.Group, target.Kind) {
	case "Service":
	case "Backend." + v1alpha1.GroupName:
		find = t.backend
	default:
		return backendName{}, invalidKind(field, target)
	}
	if p := t.grant(field, target); p != nil {
		return backendName{}, p
	}
	return find(field, target, ref.Port)
}

func invalidKind(field string, target attach.To) *problem {
	p := &problem{
		reason:  string(gatewayv1.RouteReasonInvalidKind),
		field:   field,
		message: fmt.Sprintf("Sluice sends no requests to objects of kind %s", groupKind(target.Group, target.Kind)),
		fix:     "refer to a Service, or to a Backend of group " + v1alpha1.GroupName,
	}
	if target.Kind == gatewayv1.Kind(snapshot.KindXBackend) {
		p.message = "XBackends are valid; this version of Sluice does not serve them yet"
	}
	return p
}

// grant asks for the ReferenceGrant that a reference across namespaces needs.
func (t *ruleTranslator) grant(field string, to attach.To) *problem {
	if to.Namespace == t.route.Namespace {
		return nil
	}
	from := attach.From{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(t.route.Kind), Namespace: t.route.Namespace}
	if grant := attach.Granted(t.r, from, to); grant != nil {
		t.grants = append(t.grants, snapshot.KeyOf(grant))
		return nil
	}
	return new(notGranted(field, from, to))
}

func (t *ruleTranslator) service(field string, to attach.To, port *gatewayv1.PortNumber) (backendName, *problem) {
	name := backendName{kind: snapshot.KindService, namespace: to.Namespace, name: to.Name, port: deref(port)}
	service := snapshot.Get[*corev1.Service](t.r, to.Namespace, to.Name)
	if service == nil {
		return name, notFound(field, fmt.Sprintf("Service %s/%s does not exist", to.Namespace, to.Name), "write the name of an existing Service, or create it")
	}
	if port == nil {
		return name, notFound(field+".port", "a reference to a Service needs a port", "write one of the ports of the Service: "+portList(service))
	}
	servicePort := findPort(service, *port)
	if servicePort == nil {
		return name, notFound(field+".port", fmt.Sprintf("Service %s/%s has no port %d", to.Namespace, to.Name, *port), "write one of its ports: "+portList(service))
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName && !t.options.AllowExternalName {
		return name, &problem{
			reason:  string(gatewayv1.RouteReasonUnsupportedValue),
			field:   field,
			message: fmt.Sprintf("Service %s/%s is of type ExternalName, which could reach whatever the proxy reaches (CVE-2021-25740)", to.Namespace, to.Name),
			fix:     "use a Backend of group " + v1alpha1.GroupName + " with an fqdn endpoint, or allow Services of type ExternalName",
		}
	}
	return name, t.protocol(field, service, servicePort)
}

func notFound(field, message, fix string) *problem {
	return &problem{reason: string(gatewayv1.RouteReasonBackendNotFound), field: field, message: message, fix: fix}
}

func findPort(service *corev1.Service, port gatewayv1.PortNumber) *corev1.ServicePort {
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Port == port {
			return &service.Spec.Ports[i]
		}
	}
	return nil
}

func portList(service *corev1.Service) string {
	var ports []string
	for _, p := range service.Spec.Ports {
		ports = append(ports, fmt.Sprint(p.Port))
	}
	return strings.Join(ports, ", ")
}

// protocol checks that requests can be sent in the protocol that the Service
// port speaks, by its appProtocol (KEP-3726) and by BackendTLSPolicies.
func (t *ruleTranslator) protocol(field string, service *corev1.Service, port *corev1.ServicePort) *problem {
	unsupported := func(message, fix string) *problem {
		return &problem{reason: string(gatewayv1.RouteReasonUnsupportedProtocol), field: field, message: message, fix: fix}
	}
	where := fmt.Sprintf("port %d of Service %s/%s", port.Port, service.Namespace, service.Name)
	if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
		return unsupported(fmt.Sprintf("%s is for %s; HTTP needs TCP", where, port.Protocol), "write a TCP port")
	}
	protocol := deref(port.AppProtocol)
	if t.route.Kind == snapshot.KindGRPCRoute && appProtocol(port) == config.AppWebSocket {
		return unsupported(fmt.Sprintf("%s speaks %s, which carries no gRPC", where, protocol), "write a port that speaks HTTP/2, with appProtocol kubernetes.io/h2c or none")
	}
	switch strings.ToLower(protocol) {
	case "", "http", "kubernetes.io/h2c", "h2c", "http2", "grpc", "kubernetes.io/ws":
	case "kubernetes.io/wss", "https", "wss", "tls":
		if policyFor(t.r, snapshot.KeyOf(service), port.Name) == nil {
			return unsupported(fmt.Sprintf("%s speaks %s, which is in TLS, and no BackendTLSPolicy says how to verify it", where, protocol), "write a BackendTLSPolicy for the Service, or remove appProtocol if the port speaks clear text")
		}
	default:
		t.warn(field, fmt.Sprintf("%s has the appProtocol %s, which Sluice does not know; it sends %s", where, protocol, t.sends()), "")
	}
	return nil
}

// sends is what a backend gets of whose protocol nothing is known.
func (t *ruleTranslator) sends() string {
	if t.route.Kind == snapshot.KindGRPCRoute {
		return "HTTP/2"
	}
	return "HTTP/1.1"
}

// appProtocol is what the port speaks, by its appProtocol. Names of services know no
// case (RFC 6335, section 5.1).
func appProtocol(port *corev1.ServicePort) config.AppProtocol {
	switch strings.ToLower(deref(port.AppProtocol)) {
	case "kubernetes.io/h2c", "h2c", "http2", "grpc":
		return config.AppH2C
	case "kubernetes.io/ws", "kubernetes.io/wss", "wss":
		return config.AppWebSocket
	}
	return config.AppHTTP
}

func (t *ruleTranslator) backend(field string, to attach.To, _ *gatewayv1.PortNumber) (backendName, *problem) {
	name := backendName{kind: snapshot.KindBackend, namespace: to.Namespace, name: to.Name, local: t.local}
	if snapshot.Get[*v1alpha1.Backend](t.r, to.Namespace, to.Name) == nil {
		return name, notFound(field, fmt.Sprintf("Backend %s/%s does not exist", to.Namespace, to.Name), "write the name of an existing Backend, or create it")
	}
	return name, nil
}
