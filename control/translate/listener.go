package translate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// listener is what a Gateway or a ListenerSet asks for with one of its listeners.
type listener struct {
	// owner is the Gateway or the ListenerSet.
	owner snapshot.Key
	// name is the listener's in the configuration: namespace/gateway/section, or
	// namespace/gateway/namespace/listenerset/section. No part has a slash in it.
	name string
	// field is the listener's path in its owner.
	field    string
	spec     *gatewayv1.Listener
	hostname string
	// kinds are the kinds of routes that it allows and that Sluice serves.
	kinds    []gatewayv1.RouteGroupKind
	from     gatewayv1.FromNamespaces
	selector labels.Selector
	// certificates are those that an HTTPS listener shows, as far as they are
	// usable, and grants the ReferenceGrants that they lean on.
	certificates []config.Certificate
	grants       []snapshot.Key
	// clients is how the certificates of an HTTPS listener's clients are validated;
	// nil is not at all. identity is what backends are shown for its requests.
	clients  *clientValidation
	identity *config.Certificate
	// policies are the ClientPolicies for it, the most specific first. mayHTTP3 says
	// that they may have it take a UDP port of the Gateway.
	policies []*clientPolicy
	mayHTTP3 bool
	// invalid is why it cannot be served, lacking what it waits for while it keeps
	// its place, and unresolved which references are wrong.
	invalid, lacking, unresolved []problem
	review                       []diagnostic.Diagnostic
}

// ownerOf is the owner of the listener of that name.
func ownerOf(name string) snapshot.Key {
	parts := strings.Split(name, "/")
	if len(parts) == 5 {
		return snapshot.Key{Kind: snapshot.KindListenerSet, Namespace: parts[2], Name: parts[3]}
	}
	return snapshot.Key{Kind: snapshot.KindGateway, Namespace: parts[0], Name: parts[1]}
}

func readListener(r *reader, owner snapshot.Key, prefix string, index int, spec *gatewayv1.Listener) listener {
	l := listener{
		owner:    owner,
		name:     fmt.Sprintf("%s/%s", prefix, spec.Name),
		field:    fmt.Sprintf("spec.listeners[%d]", index),
		spec:     spec,
		hostname: strings.ToLower(string(deref(spec.Hostname))),
		from:     gatewayv1.NamespacesFromSame,
	}
	l.checkProtocol()
	l.readTLS(r)
	l.readKinds()
	l.readNamespaces()
	return l
}

// checkProtocol obeys listeners[].protocol: what is not served is not accepted.
func (l *listener) checkProtocol() {
	p := problem{
		reason: string(gatewayv1.ListenerReasonUnsupportedProtocol),
		field:  l.field + ".protocol",
		fix:    "use protocol HTTP or HTTPS",
	}
	switch l.spec.Protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return
	case gatewayv1.TLSProtocolType, gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
		p.message = fmt.Sprintf("protocol %s is valid; this version of Sluice does not serve it yet", l.spec.Protocol)
	default:
		p.message = fmt.Sprintf("Sluice knows no protocol %s", l.spec.Protocol)
	}
	l.invalid = append(l.invalid, p)
}

// routeKinds are the kinds of routes that listeners of protocols HTTP and HTTPS take.
var routeKinds = []gatewayv1.RouteGroupKind{
	{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: gatewayv1.Kind(snapshot.KindHTTPRoute)},
	{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: gatewayv1.Kind(snapshot.KindGRPCRoute)},
}

// readKinds obeys listeners[].allowedRoutes.kinds: kinds that do not fit are
// reported, and those that do still attach.
func (l *listener) readKinds() {
	takesHTTP := l.spec.Protocol == gatewayv1.HTTPProtocolType || l.spec.Protocol == gatewayv1.HTTPSProtocolType
	if l.spec.AllowedRoutes == nil || len(l.spec.AllowedRoutes.Kinds) == 0 {
		if takesHTTP {
			l.kinds = routeKinds
		}
		return
	}
	for i, kind := range l.spec.AllowedRoutes.Kinds {
		if kind.Group == nil {
			kind.Group = new(gatewayv1.Group(gatewayv1.GroupName))
		}
		known := slices.ContainsFunc(routeKinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind.Kind })
		if takesHTTP && *kind.Group == gatewayv1.GroupName && known {
			l.kinds = append(l.kinds, kind)
			continue
		}
		l.unresolved = append(l.unresolved, problem{
			reason:  string(gatewayv1.ListenerReasonInvalidRouteKinds),
			field:   fmt.Sprintf("%s.allowedRoutes.kinds[%d]", l.field, i),
			message: fmt.Sprintf("routes of kind %s cannot attach to a listener of protocol %s", groupKind(*kind.Group, kind.Kind), l.spec.Protocol),
			fix:     "remove the kind; this version of Sluice serves HTTPRoute and GRPCRoute on HTTP and HTTPS listeners",
		})
	}
}

// readNamespaces obeys listeners[].allowedRoutes.namespaces.
func (l *listener) readNamespaces() {
	if l.spec.AllowedRoutes == nil || l.spec.AllowedRoutes.Namespaces == nil {
		return
	}
	namespaces := l.spec.AllowedRoutes.Namespaces
	if namespaces.From != nil {
		l.from = *namespaces.From
	}
	if l.from != gatewayv1.NamespacesFromSelector || namespaces.Selector == nil {
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(namespaces.Selector)
	if err != nil {
		l.invalid = append(l.invalid, problem{
			reason:  string(gatewayv1.ListenerReasonUnsupportedValue),
			field:   l.field + ".allowedRoutes.namespaces.selector",
			message: err.Error(),
			fix:     "write a valid label selector",
		})
		return
	}
	l.selector = selector
}

// publishListeners puts the listeners that are served into the configuration
// and tells the routes of a Gateway or ListenerSet what they see of it, if that
// has changed.
func (t *Translator) publishListeners() {
	for owner := range t.work.unlisted {
		if old := t.bindings[owner]; old != nil {
			for _, l := range old.Listeners {
				t.putListener(l.Configured, nil)
				t.digest(t.opened[owner].gateway, owner, l.Configured, nil)
			}
		}
		t.openPorts(owner)
	}
	t.allotPorts()
	for owner := range t.work.unlisted {
		t.bind(owner)
	}
}

func (t *Translator) bind(owner snapshot.Key) {
	next := t.binding(owner)
	if !reflect.DeepEqual(t.bindings[owner], next) {
		t.graph.touch(bindingKey(owner))
	}
	if next == nil {
		delete(t.bindings, owner)
		return
	}
	t.bindings[owner] = next
	t.putListeners(owner, next)
}

// listenersOf are the listeners of a Gateway or ListenerSet and the Gateway that
// they are served with; nil if there is none of ours.
func (t *Translator) listenersOf(owner snapshot.Key) (*gateway, []listener) {
	if set := t.sets[owner]; set != nil {
		return t.gateways[set.gateway], set.listeners
	}
	if g := t.gateways[owner]; g != nil {
		return g, g.listeners
	}
	return nil, nil
}

func (t *Translator) putListeners(owner snapshot.Key, binding *attach.Parent) {
	g, listeners := t.listenersOf(owner)
	for i := range listeners {
		l := &listeners[i]
		var next *config.Listener
		if binding.Listeners[i].Served {
			port, _ := t.bindPort(g, l)
			next = l.config(g, port, t.policyOf(g, l))
		}
		t.putListener(l.name, next)
		t.digest(g.key, owner, l.name, next)
	}
}

func (l *listener) config(g *gateway, bind uint16, policy *clientPolicy) *config.Listener {
	next := &config.Listener{
		Name:               l.name,
		Addresses:          g.addresses,
		Port:               uint16(l.spec.Port),
		BindPort:           bind,
		Protocol:           config.Protocol(l.spec.Protocol),
		Hostname:           l.hostname,
		Certificates:       l.certificates,
		BackendCertificate: l.identity,
	}
	if policy != nil {
		next.Client = policy.clientOf(l)
	}
	if next.Protocol == config.ProtocolHTTPS {
		next.TLS = l.tls(policy)
	}
	return next
}

// tls is nil where nothing differs from the defaults.
func (l *listener) tls(policy *clientPolicy) *config.ListenerTLS {
	var next config.ListenerTLS
	if policy != nil {
		next = policy.tls
	}
	if l.clients != nil {
		next.ClientAuth, next.ClientCAs = l.clients.mode, l.clients.authorities
	}
	if reflect.ValueOf(next).IsZero() {
		return nil
	}
	return &next
}

// binding is what routes see of a Gateway or ListenerSet; nil if it is none of
// ours.
func (t *Translator) binding(owner snapshot.Key) *attach.Parent {
	g, listeners := t.listenersOf(owner)
	if g == nil {
		return nil
	}
	binding := &attach.Parent{Kind: owner.Kind, Namespace: owner.Namespace, Name: owner.Name}
	binding.LocalBackends = t.options.Cluster == nil || deref(g.parameters.AllowLocalBackends)
	if set := t.sets[owner]; set != nil && len(set.refused) > 0 {
		binding.Refused = set.refused[0].message
	}
	for i := range listeners {
		l := &listeners[i]
		_, reached := t.bindPort(g, l)
		binding.Listeners = append(binding.Listeners, attach.Listener{
			Name:       l.spec.Name,
			Configured: l.name,
			Port:       l.spec.Port,
			Hostname:   l.hostname,
			Kinds:      kindNames(l.kinds),
			From:       l.from,
			Selector:   l.selector,
			Served:     g.bindable() && t.listenerAccepted(l) && reached,
		})
	}
	return binding
}

func kindNames(kinds []gatewayv1.RouteGroupKind) []gatewayv1.Kind {
	var names []gatewayv1.Kind
	for _, kind := range kinds {
		names = append(names, kind.Kind)
	}
	return names
}
