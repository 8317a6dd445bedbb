package translate_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

func (w world) gateway() *gatewayv1.Gateway {
	g := &gatewayv1.Gateway{ObjectMeta: w.meta(pick(w, "g1", "g2")), Spec: gatewayv1.GatewaySpec{
		GatewayClassName: pick[gatewayv1.ObjectName](w, "sluice", "sluice", "other"),
		Listeners:        w.listeners(gatewayv1.HTTPProtocolType, gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType, gatewayv1.TCPProtocolType),
	}}
	if w.IntN(3) == 0 {
		g.Spec.Addresses = []gatewayv1.GatewaySpecAddress{{Value: pick(w, "127.0.0.1", "127.0.0.2", "nowhere", "")}}
	}
	if w.IntN(4) > 0 {
		g.Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{
			From:     new(pick(w, gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSame, gatewayv1.NamespacesFromSelector)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}},
		}}
	}
	if w.IntN(2) == 0 {
		g.Spec.TLS = w.gatewayTLS()
	}
	return g
}

// listeners are one to three with one of the protocols each.
func (w world) listeners(protocols ...gatewayv1.ProtocolType) []gatewayv1.Listener {
	var all []gatewayv1.Listener
	for i := range 1 + w.IntN(3) {
		l := gatewayv1.Listener{
			Name:     gatewayv1.SectionName(fmt.Sprintf("l%d", i)),
			Port:     pick[gatewayv1.PortNumber](w, 80, 80, 81),
			Protocol: pick(w, protocols...),
			Hostname: pick[*gatewayv1.Hostname](w, nil, new(gatewayv1.Hostname("*.example")), new(gatewayv1.Hostname("x.example"))),
			AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{
				From:     new(pick(w, gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSame, gatewayv1.NamespacesFromSelector)),
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}},
			}, Kinds: pick(w, nil, nil, nil, []gatewayv1.RouteGroupKind{{Kind: "GRPCRoute"}}, []gatewayv1.RouteGroupKind{{Kind: "HTTPRoute"}, {Kind: "TCPRoute"}})},
		}
		if l.Protocol == gatewayv1.HTTPSProtocolType {
			l.TLS = &gatewayv1.ListenerTLSConfig{}
			for range w.IntN(3) {
				l.TLS.CertificateRefs = append(l.TLS.CertificateRefs, gatewayv1.SecretObjectReference{
					Name:      pick[gatewayv1.ObjectName](w, "c1", "c2"),
					Namespace: pick[*gatewayv1.Namespace](w, nil, nil, new(gatewayv1.Namespace("a"))),
				})
			}
		}
		all = append(all, l)
	}
	return all
}

func (w world) listenerSet() *gatewayv1.ListenerSet {
	set := &gatewayv1.ListenerSet{ObjectMeta: w.meta(pick(w, "s1", "s2", "s3"))}
	set.Spec.ParentRef = gatewayv1.ParentGatewayReference{
		Name:      pick[gatewayv1.ObjectName](w, "g1", "g2"),
		Namespace: pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a"))),
	}
	for _, l := range w.listeners(gatewayv1.HTTPProtocolType, gatewayv1.HTTPProtocolType, gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType, gatewayv1.TCPProtocolType) {
		set.Spec.Listeners = append(set.Spec.Listeners, gatewayv1.ListenerEntry(l))
	}
	return set
}

// secret is one of few certificates, or a broken one.
func (w world) secret() snapshot.Object {
	secret := &corev1.Secret{ObjectMeta: w.meta(pick(w, "c1", "c2")), Type: corev1.SecretTypeTLS}
	pair := testPair(w.t, pick(w, "x.example", "*.example"))
	secret.Data = map[string][]byte{corev1.TLSCertKey: pair.chain, corev1.TLSPrivateKeyKey: pair.key}
	if w.IntN(4) == 0 {
		secret.Data[corev1.TLSPrivateKeyKey] = testPair(w.t, "another.example").key
	}
	return secret
}

// parents are one or two Gateways and ListenerSets.
func (w world) parents() gatewayv1.CommonRouteSpec {
	var spec gatewayv1.CommonRouteSpec
	for range 1 + w.IntN(2) {
		ref := gatewayv1.ParentReference{
			Name:        pick[gatewayv1.ObjectName](w, "g1", "g2"),
			Namespace:   pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a"))),
			SectionName: pick[*gatewayv1.SectionName](w, nil, new(gatewayv1.SectionName("l1"))),
		}
		if w.IntN(2) == 0 {
			ref.Kind, ref.Name = new(gatewayv1.Kind("ListenerSet")), pick[gatewayv1.ObjectName](w, "s1", "s2", "s3")
		}
		spec.ParentRefs = append(spec.ParentRefs, ref)
	}
	return spec
}
