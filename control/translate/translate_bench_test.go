package translate_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// The cost of one change must not grow with the number of routes.

func BenchmarkChangedRoute(b *testing.B) {
	benchmarkChange(b, func(i, turn int) snapshot.Object {
		route := benchRoute(i)
		route.Generation = int64(turn)
		route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("t%d.example", turn))}
		return route
	})
}

// BenchmarkChangedRouteAmongRivals has a GRPCRoute at the listener as well.
func BenchmarkChangedRouteAmongRivals(b *testing.B) {
	benchmarkChange(b, func(i, turn int) snapshot.Object {
		if turn == 1 {
			rival := &gatewayv1.GRPCRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "rival"}}
			rival.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gw"}}
			rival.Spec.Hostnames = []gatewayv1.Hostname{"rival.example"}
			return rival
		}
		route := benchRoute(i)
		route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("t%d.example", turn))}
		return route
	})
}

// BenchmarkFirstRival has a GRPCRoute come to a listener that only HTTPRoutes have,
// and go.
func BenchmarkFirstRival(b *testing.B) {
	benchmarkChange(b, func(_, turn int) snapshot.Object {
		rival := &gatewayv1.GRPCRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "rival"}}
		rival.Spec.Hostnames = []gatewayv1.Hostname{"rival.example"}
		if turn%2 == 1 {
			rival.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gw"}}
		}
		return rival
	})
}

func BenchmarkChangedEndpoint(b *testing.B) {
	benchmarkChange(b, func(i, turn int) snapshot.Object {
		return benchSlice(i, fmt.Sprintf("10.1.%d.%d", turn/250%250, 1+turn%250))
	})
}

func BenchmarkAddedAndRemovedRoute(b *testing.B) {
	benchmarkChange(b, func(i, turn int) snapshot.Object {
		if turn%2 == 0 {
			return nil
		}
		return benchRoute(-1)
	})
}

// BenchmarkChangedListenerSet changes one of many ListenerSets of a Gateway, each
// with two listeners and a route.
func BenchmarkChangedListenerSet(b *testing.B) {
	benchmarkSets(b, func(i, turn int) snapshot.Object { return benchSet(i, fmt.Sprintf("t%d.example", turn)) })
}

// BenchmarkChangedRouteOfListenerSet changes one route, which is attached to one
// of many ListenerSets.
func BenchmarkChangedRouteOfListenerSet(b *testing.B) {
	benchmarkSets(b, func(i, turn int) snapshot.Object {
		route := benchSetRoute(i)
		route.Generation = int64(turn)
		if turn%2 == 0 {
			route.Spec.ParentRefs[0].SectionName = new(gatewayv1.SectionName("http"))
		}
		return route
	})
}

func benchmarkSets(b *testing.B, next func(i, turn int) snapshot.Object) {
	for _, size := range []int{100, 2500} {
		b.Run(fmt.Sprintf("sets=%d", size), func(b *testing.B) {
			changes := benchObjects(0)
			gateway := changes[1].Object.(*gatewayv1.Gateway)
			gateway.Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: new(gatewayv1.NamespacesFromAll)}}
			pair := testPair(b, "*.example")
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tls"}, Data: map[string][]byte{"tls.crt": pair.chain, "tls.key": pair.key}}
			changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(secret), Object: secret})
			for i := range size {
				for _, object := range []snapshot.Object{benchSet(i, benchName(i)+".example"), benchSetRoute(i)} {
					changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
				}
			}
			benchmarkUpdates(b, snapshot.New().With(changes), size, next)
		})
	}
}

func benchSet(i int, hostname string) *gatewayv1.ListenerSet {
	set := &gatewayv1.ListenerSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: benchName(i)}}
	set.Spec.ParentRef.Name = "gw"
	name := new(gatewayv1.Hostname(hostname))
	tls := &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "tls"}}}
	set.Spec.Listeners = []gatewayv1.ListenerEntry{
		{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType, Hostname: name},
		{Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, Hostname: name, TLS: tls},
	}
	return set
}

func benchSetRoute(i int) *gatewayv1.HTTPRoute {
	route := benchRoute(i)
	route.Spec.Hostnames = nil
	route.Spec.ParentRefs[0].Kind = new(gatewayv1.Kind("ListenerSet"))
	route.Spec.ParentRefs[0].Name = gatewayv1.ObjectName(benchName(i))
	return route
}

func BenchmarkFromScratch(b *testing.B) {
	for _, size := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("routes=%d", size), func(b *testing.B) {
			s := snapshot.New().With(benchObjects(size))
			for b.Loop() {
				translate.New(propertyOptions).Update(s, nil)
			}
		})
	}
}

func benchmarkChange(b *testing.B, next func(i, turn int) snapshot.Object) {
	for _, size := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("routes=%d", size), func(b *testing.B) {
			s := snapshot.New().With(benchObjects(size))
			benchmarkUpdates(b, s, size, next)
		})
	}
}

func benchmarkUpdates(b *testing.B, s *snapshot.Snapshot, size int, next func(i, turn int) snapshot.Object) {
	translator := translate.New(propertyOptions)
	translator.Update(s, nil)
	b.ReportAllocs()
	turn := 0
	for b.Loop() {
		turn++
		change := snapshot.Change{Key: snapshot.KeyOf(benchRoute(-1)), Object: next(turn%size, turn)}
		if change.Object != nil {
			change.Key = snapshot.KeyOf(change.Object)
		}
		s = s.With([]snapshot.Change{change})
		translator.Update(s, []snapshot.Key{change.Key})
	}
}

func benchObjects(size int) []snapshot.Change {
	objects := []snapshot.Object{
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "sluice"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: controllerName}},
		&gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw"}, Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "sluice",
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		}},
	}
	for i := range size {
		objects = append(objects, benchRoute(i), benchService(i), benchSlice(i, "10.0.0.1"))
	}
	var changes []snapshot.Change
	for _, object := range objects {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
	}
	return changes
}

func benchName(i int) string { return fmt.Sprintf("app-%d", i) }

func benchRoute(i int) *gatewayv1.HTTPRoute {
	r := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: benchName(i)}}
	r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gw"}}
	r.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(benchName(i) + ".example")}
	ref := gatewayv1.HTTPBackendRef{}
	ref.Name, ref.Port = gatewayv1.ObjectName(benchName(max(i, 0))), new(gatewayv1.PortNumber(80))
	r.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{ref}}}
	return r
}

func benchService(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: benchName(i)},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

func benchSlice(i int, address string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: benchName(i), Labels: map[string]string{discoveryv1.LabelServiceName: benchName(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8080))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}
}
