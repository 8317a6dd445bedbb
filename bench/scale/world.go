package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// world is a Gateway that teams share. Each has a namespace with a ListenerSet, a
// certificate for each of its listeners, routes, and Services behind these. Every
// second one has a second listener, for gRPC; the certificates of every tenth are
// kept elsewhere, and granted; every fiftieth has a ClientPolicy of its own. The
// world only knows how to make its objects, so that the memory of the process is
// Sluice's.
type world struct {
	options
	authority *authority
	port      uint16   // of all HTTPS listeners
	backends  []uint16 // ports where the endpoints listen
}

// Namespaces beside those of the teams.
const (
	infra = "infra"
	vault = "vault" // has the certificates of those who do not keep their own
)

func newWorld(o options) (*world, error) {
	a, err := newAuthority()
	if err != nil {
		return nil, err
	}
	w := &world{options: o, authority: a}
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		w.backends = append(w.backends, portOf(l))
		go http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, answer(i)) }))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w.port = portOf(l)
	return w, l.Close()
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// answer is what the endpoints of a Service answer: those of every second one
// answer alike.
func answer(service int) string { return []string{"even", "odd"}[service%2] }

func team(i int) string        { return fmt.Sprintf("team-%04d", i) }
func hostname(i, j int) string { return fmt.Sprintf("%s.%s.example.com", listener(j), team(i)) }
func listener(j int) string    { return []string{"web", "grpc", "more"}[j] }
func path(j int) string        { return fmt.Sprintf("/service-%d", j) }

// listeners of a team.
func listeners(i int) int { return 1 + i%2 }

// granted reports whether the certificates of a team are kept elsewhere.
func granted(i int) bool { return i%10 == 0 }

// all are the objects of the world.
func (w *world) all() ([]snapshot.Change, error) {
	all := []snapshot.Change{
		set(&gatewayv1.GatewayClass{ObjectMeta: w.meta("", "sluice", 0), Spec: gatewayv1.GatewayClassSpec{ControllerName: controllerName}}),
		set(w.gateway()), set(w.namespace(infra)), set(w.namespace(vault)),
	}
	for i := range w.sets {
		all = append(all, set(w.namespace(team(i))), set(w.set(i, listeners(i))))
		for j := range listeners(i) {
			secret, _, err := w.secret(i, j)
			if err != nil {
				return nil, err
			}
			all = append(all, set(secret))
		}
		if granted(i) {
			all = append(all, set(w.grant(i)))
		}
		if i%50 == 0 {
			all = append(all, set(w.policy(i, 8<<10)))
		}
		for j := range w.routes {
			all = append(all, set(w.route(i, j, j)))
		}
		for j := range w.services {
			all = append(all, set(w.service(i, j)), set(w.slice(i, j, j)))
		}
	}
	return all, nil
}

// set sets an object, as one that a source has decoded: nothing in it is shared.
func set(object snapshot.Object) snapshot.Change {
	encoded, err := json.Marshal(object)
	if err != nil {
		panic(err) // objects of the API can be encoded
	}
	decoded := blank(object)
	if err := json.Unmarshal(encoded, decoded); err != nil {
		panic(err)
	}
	return snapshot.Change{Key: snapshot.KeyOf(decoded), Object: decoded}
}

func blank(object snapshot.Object) snapshot.Object {
	switch object.(type) {
	case *gatewayv1.GatewayClass:
		return new(gatewayv1.GatewayClass)
	case *gatewayv1.Gateway:
		return new(gatewayv1.Gateway)
	case *gatewayv1.ListenerSet:
		return new(gatewayv1.ListenerSet)
	case *gatewayv1.HTTPRoute:
		return new(gatewayv1.HTTPRoute)
	case *gatewayv1.GRPCRoute:
		return new(gatewayv1.GRPCRoute)
	case *gatewayv1.ReferenceGrant:
		return new(gatewayv1.ReferenceGrant)
	case *v1alpha1.ClientPolicy:
		return new(v1alpha1.ClientPolicy)
	case *corev1.Namespace:
		return new(corev1.Namespace)
	case *corev1.Secret:
		return new(corev1.Secret)
	case *corev1.Service:
		return new(corev1.Service)
	case *discoveryv1.EndpointSlice:
		return new(discoveryv1.EndpointSlice)
	}
	panic(fmt.Sprintf("the world has no %T", object))
}

// meta is what the API server keeps of every object.
func (w *world) meta(namespace, name string, i int) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, Generation: 1,
		UID: "6f1c4c1e-0000-4000-8000-000000000000", ResourceVersion: "1234567",
		CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000+int64(i), 0)),
		Labels:            map[string]string{"app.kubernetes.io/part-of": namespace},
	}
}

func (w *world) gateway() *gatewayv1.Gateway {
	g := &gatewayv1.Gateway{ObjectMeta: w.meta(infra, "shared", 0)}
	g.Spec.GatewayClassName = "sluice"
	g.Spec.Addresses = []gatewayv1.GatewaySpecAddress{{Type: new(gatewayv1.IPAddressType), Value: "127.0.0.1"}}
	g.Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: new(gatewayv1.NamespacesFromAll)}}
	g.Spec.Listeners = []gatewayv1.Listener{{Name: "own", Port: gatewayv1.PortNumber(w.port), Protocol: gatewayv1.HTTPSProtocolType,
		Hostname: new(gatewayv1.Hostname("own.example.com")),
		TLS:      &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Namespace: new(gatewayv1.Namespace(team(1))), Name: "web"}}}}}
	return g
}

func (w *world) namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: w.meta("", name, 0)}
}

// set is a team's ListenerSet with the first of its listeners.
func (w *world) set(i, count int) *gatewayv1.ListenerSet {
	s := &gatewayv1.ListenerSet{ObjectMeta: w.meta(team(i), "listeners", i)}
	s.Spec.ParentRef = gatewayv1.ParentGatewayReference{Namespace: new(gatewayv1.Namespace(infra)), Name: "shared"}
	for j := range count {
		ref := gatewayv1.SecretObjectReference{Namespace: new(gatewayv1.Namespace(keeper(i))), Name: gatewayv1.ObjectName(secretName(i, j))}
		s.Spec.Listeners = append(s.Spec.Listeners, gatewayv1.ListenerEntry{
			Name: gatewayv1.SectionName(listener(j)), Port: gatewayv1.PortNumber(w.port), Protocol: gatewayv1.HTTPSProtocolType,
			Hostname: new(gatewayv1.Hostname(hostname(i, j))),
			TLS:      &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{ref}},
		})
	}
	return s
}

// keeper is the namespace of a team's certificates.
func keeper(i int) string {
	if granted(i) {
		return vault
	}
	return team(i)
}

func secretName(i, j int) string {
	if granted(i) {
		return team(i) + "-" + listener(j)
	}
	return listener(j)
}

// secret is a new certificate for a listener, with its serial number.
func (w *world) secret(i, j int) (*corev1.Secret, int64, error) {
	chain, key, serial, err := w.authority.issue(hostname(i, j))
	return &corev1.Secret{
		ObjectMeta: w.meta(keeper(i), secretName(i, j), i), Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key},
	}, serial, err
}

func (w *world) grant(i int) *gatewayv1.ReferenceGrant {
	g := &gatewayv1.ReferenceGrant{ObjectMeta: w.meta(vault, team(i), i)}
	g.Spec.From = []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "ListenerSet", Namespace: gatewayv1.Namespace(team(i))}}
	for j := range 3 {
		g.Spec.To = append(g.Spec.To, gatewayv1.ReferenceGrantTo{Kind: "Secret", Name: new(gatewayv1.ObjectName(secretName(i, j)))})
	}
	return g
}

// policy is a ClientPolicy for a team's ListenerSet.
func (w *world) policy(i int, headerBytes int32) *v1alpha1.ClientPolicy {
	p := &v1alpha1.ClientPolicy{ObjectMeta: w.meta(team(i), "clients", i)}
	p.Spec.TargetRefs = targets("ListenerSet", "listeners")
	p.Spec.Limits = &v1alpha1.ClientLimits{HeaderBytes: new(headerBytes)}
	return p
}

// gatewayPolicy is a ClientPolicy for all listeners that have none of their own.
func (w *world) gatewayPolicy(headerBytes int32) *v1alpha1.ClientPolicy {
	p := &v1alpha1.ClientPolicy{ObjectMeta: w.meta(infra, "clients", 0)}
	p.Spec.TargetRefs = targets("Gateway", "shared")
	p.Spec.Limits = &v1alpha1.ClientLimits{HeaderBytes: new(headerBytes)}
	return p
}

func targets(kind, name string) []gatewayv1.LocalPolicyTargetReferenceWithSectionName {
	return []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{
		Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(kind), Name: gatewayv1.ObjectName(name),
	}}}
}

// route is a team's route to one of its Services. Where there is a listener for
// gRPC, one in eight routes is on it.
func (w *world) route(i, j, service int) snapshot.Object {
	name := fmt.Sprintf("route-%02d", j)
	common := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
		Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("ListenerSet")),
		Name: "listeners", SectionName: new(gatewayv1.SectionName("web")),
	}}}
	backend := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
		Group: new(gatewayv1.Group("")), Kind: new(gatewayv1.Kind("Service")),
		Name: gatewayv1.ObjectName(serviceName(service % w.services)), Port: new(gatewayv1.PortNumber(80)),
	}, Weight: new(int32(1))}
	if listeners(i) > 1 && j%8 == 7 {
		common.ParentRefs[0].SectionName = new(gatewayv1.SectionName("grpc"))
		r := &gatewayv1.GRPCRoute{ObjectMeta: w.meta(team(i), name, i)}
		r.Spec.CommonRouteSpec = common
		r.Spec.Rules = []gatewayv1.GRPCRouteRule{{
			Matches:     []gatewayv1.GRPCRouteMatch{{Method: &gatewayv1.GRPCMethodMatch{Service: new(fmt.Sprintf("example.Service%d", j))}}},
			BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: backend}},
		}}
		return r
	}
	r := &gatewayv1.HTTPRoute{ObjectMeta: w.meta(team(i), name, i)}
	r.Spec.CommonRouteSpec = common
	r.Spec.Rules = []gatewayv1.HTTPRouteRule{{
		Matches:     []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new(path(j))}}},
		BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: backend}},
	}}
	return r
}

func serviceName(j int) string { return fmt.Sprintf("service-%d", j) }

func (w *world) service(i, j int) *corev1.Service {
	s := &corev1.Service{ObjectMeta: w.meta(team(i), serviceName(j), i)}
	s.Spec.Ports = []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}}
	return s
}

// slice has two endpoints, which answer like those of a Service.
func (w *world) slice(i, j, like int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: w.meta(team(i), serviceName(j)+"-x7k2p", i), AddressType: discoveryv1.AddressTypeIPv4}
	s.Labels[discoveryv1.LabelServiceName] = serviceName(j)
	s.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Protocol: new(corev1.ProtocolTCP), Port: new(int32(w.backends[like%2]))}}
	for range 2 {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"127.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	return s
}
