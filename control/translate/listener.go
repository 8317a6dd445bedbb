package translate

import (
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// listener is what a Gateway asks for with one of its listeners.
type listener struct {
	// name is the listener's in the configuration: namespace/gateway/section.
	name string
	// field is the listener's path in the Gateway.
	field    string
	spec     *gatewayv1.Listener
	hostname string
	// kinds are the kinds of routes that it allows and that Sluice serves.
	kinds    []gatewayv1.RouteGroupKind
	from     gatewayv1.FromNamespaces
	selector labels.Selector
	// invalid is why it cannot be served, unresolved which references are wrong.
	invalid, unresolved []problem
}

func readListener(gateway snapshot.Key, index int, spec *gatewayv1.Listener) listener {
	l := listener{
		name:     fmt.Sprintf("%s/%s/%s", gateway.Namespace, gateway.Name, spec.Name),
		field:    fmt.Sprintf("spec.listeners[%d]", index),
		spec:     spec,
		hostname: strings.ToLower(string(deref(spec.Hostname))),
		from:     gatewayv1.NamespacesFromSame,
	}
	l.checkProtocol()
	l.readKinds()
	l.readNamespaces()
	return l
}

// checkProtocol obeys listeners[].protocol: what is not served is not accepted.
func (l *listener) checkProtocol() {
	p := problem{
		reason: string(gatewayv1.ListenerReasonUnsupportedProtocol),
		field:  l.field + ".protocol",
		fix:    "use protocol HTTP",
	}
	switch l.spec.Protocol {
	case gatewayv1.HTTPProtocolType:
		return
	case gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType, gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
		p.message = fmt.Sprintf("protocol %s is valid; this version of Sluice does not serve it yet", l.spec.Protocol)
	default:
		p.message = fmt.Sprintf("Sluice knows no protocol %s", l.spec.Protocol)
	}
	l.invalid = append(l.invalid, p)
}

// httpRouteKind is the one kind of route that is served.
var httpRouteKind = gatewayv1.RouteGroupKind{
	Group: new(gatewayv1.Group(gatewayv1.GroupName)),
	Kind:  gatewayv1.Kind(snapshot.KindHTTPRoute),
}

// readKinds obeys listeners[].allowedRoutes.kinds: kinds that do not fit are
// reported, and those that do still attach.
func (l *listener) readKinds() {
	if l.spec.Protocol != gatewayv1.HTTPProtocolType {
		return
	}
	if l.spec.AllowedRoutes == nil || len(l.spec.AllowedRoutes.Kinds) == 0 {
		l.kinds = []gatewayv1.RouteGroupKind{httpRouteKind}
		return
	}
	for i, kind := range l.spec.AllowedRoutes.Kinds {
		if kind.Group == nil {
			kind.Group = httpRouteKind.Group
		}
		if *kind.Group == gatewayv1.GroupName && kind.Kind == httpRouteKind.Kind {
			l.kinds = append(l.kinds, kind)
			continue
		}
		l.unresolved = append(l.unresolved, problem{
			reason:  string(gatewayv1.ListenerReasonInvalidRouteKinds),
			field:   fmt.Sprintf("%s.allowedRoutes.kinds[%d]", l.field, i),
			message: fmt.Sprintf("routes of kind %s cannot attach to a listener of protocol %s", groupKind(*kind.Group, kind.Kind), l.spec.Protocol),
			fix:     "remove the kind; this version of Sluice serves HTTPRoute there",
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
// and tells the routes of a Gateway what they see of it, if that has changed.
func (t *Translator) publishListeners() {
	for key := range t.work.unlisted {
		g := t.gateways[key]
		old := t.bindings[key]
		if old != nil {
			for _, l := range old.Listeners {
				t.putListener(listenerName(key, l.Name), nil)
			}
		}
		next := t.binding(g)
		t.putListeners(g, next)
		if !reflect.DeepEqual(old, next) {
			t.graph.touch(bindingKey(key.Namespace, key.Name))
		}
		if next == nil {
			delete(t.bindings, key)
		} else {
			t.bindings[key] = next
		}
	}
}

func listenerName(gateway snapshot.Key, section gatewayv1.SectionName) string {
	return fmt.Sprintf("%s/%s/%s", gateway.Namespace, gateway.Name, section)
}

func (t *Translator) putListeners(g *gateway, binding *attach.Gateway) {
	if g == nil {
		return
	}
	for i, l := range g.listeners {
		if binding.Listeners[i].Served {
			t.putListener(l.name, l.config(g))
		}
	}
}

func (l *listener) config(g *gateway) *config.Listener {
	return &config.Listener{
		Name:      l.name,
		Addresses: g.addresses,
		Port:      uint16(l.spec.Port),
		Protocol:  config.ProtocolHTTP,
		Hostname:  l.hostname,
	}
}

// binding is what routes see of the Gateway.
func (t *Translator) binding(g *gateway) *attach.Gateway {
	if g == nil {
		return nil
	}
	binding := &attach.Gateway{Namespace: g.key.Namespace, Name: g.key.Name}
	for _, l := range g.listeners {
		_, inConflict := t.conflicts[l.name]
		binding.Listeners = append(binding.Listeners, attach.Listener{
			Name:     l.spec.Name,
			Port:     l.spec.Port,
			Hostname: l.hostname,
			Kinds:    kindNames(l.kinds),
			From:     l.from,
			Selector: l.selector,
			Served:   g.bindable() && len(l.invalid) == 0 && !inConflict,
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
