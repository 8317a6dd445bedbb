package translate

import (
	"fmt"
	"net/netip"
	"reflect"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// listenerSet is what a ListenerSet of a Gateway of ours asks for.
type listenerSet struct {
	key     snapshot.Key
	object  *gatewayv1.ListenerSet
	gateway snapshot.Key
	// refused is why the Gateway does not take the ListenerSet, which then has no
	// listeners.
	refused   []problem
	listeners []listener
}

// terms are what ListenerSets see of their Gateway. It may have thousands of
// them, so they are read again only if the terms have changed.
type terms struct {
	created   metav1.Time
	accepted  bool
	bindable  bool
	addresses []netip.Addr
	tls       gatewayTLS
	policy    *clientPolicy // the one for the whole Gateway
	local     bool          // see attach.Parent.LocalBackends
	from      gatewayv1.FromNamespaces
	// selector is nil if From is not Selector, or if it is not valid.
	selector labels.Selector
}

// publishTerms tells the ListenerSets of a Gateway what they see of it, if that
// has changed. The Gateway is nil if it is none of ours.
func (t *Translator) publishTerms(key snapshot.Key, g *gateway) {
	var next *terms
	if g != nil {
		next = g.terms()
	}
	if reflect.DeepEqual(t.terms[key], next) {
		return
	}
	t.graph.touch(termsKey(key))
	if next == nil {
		delete(t.terms, key)
	} else {
		t.terms[key] = next
	}
}

// mayHTTP3 reports whether listeners of ListenerSets may speak HTTP/3. It takes UDP
// ports of the Gateway's Service, which some load balancers cannot have, so its owner
// is asked, who says so in the policy for the whole Gateway.
func (t *terms) mayHTTP3() bool { return t != nil && t.policy != nil && t.policy.client.HTTP3 }

func (g *gateway) terms() *terms {
	next := &terms{
		created:   g.object.CreationTimestamp,
		accepted:  len(g.invalid) == 0,
		bindable:  g.bindable(),
		addresses: g.addresses,
		tls:       g.tls,
		policy:    g.policies.whole,
		local:     deref(g.parameters.AllowLocalBackends),
		from:      gatewayv1.NamespacesFromNone,
	}
	allowed := g.object.Spec.AllowedListeners
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil {
		return next
	}
	next.from = *allowed.Namespaces.From
	if next.from == gatewayv1.NamespacesFromSelector && allowed.Namespaces.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(allowed.Namespaces.Selector)
		if err == nil {
			next.selector = selector
		}
	}
	return next
}

// checkAllowedListeners finds a selector that selects nothing because it is not
// valid.
func (g *gateway) checkAllowedListeners() {
	allowed := g.object.Spec.AllowedListeners
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.Selector == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(allowed.Namespaces.Selector); err != nil {
		g.review = append(g.review, problem{
			field:   "spec.allowedListeners.namespaces.selector",
			message: err.Error() + "; no ListenerSet is taken",
			fix:     "write a valid label selector",
		}.finding(g.key, diagnostic.Error))
	}
}

// translateListenerSets reads each ListenerSet by itself.
func (t *Translator) translateListenerSets() {
	for _, key := range t.graph.take(stageListenerSet) {
		u := unit{stageListenerSet, key}
		r := t.reader()
		next, found := readListenerSet(r, key)
		t.graph.record(u, r.read)
		t.replaceListenerSet(key, next)
		if next == nil {
			t.putStatus(key, status.Status{})
			t.putDiagnostics(u, found)
		}
		// ListenerSets may be many, and the data plane shares the processors.
		runtime.Gosched()
	}
}

// replaceListenerSet keeps the new reading and says what depends on it.
func (t *Translator) replaceListenerSet(key snapshot.Key, next *listenerSet) {
	before := t.sets[key]
	if before != nil {
		t.indexListeners(key, before.gateway, before.listeners, false)
		t.indexSockets(before.gateway, before.listeners, -1)
	}
	if next == nil {
		delete(t.sets, key)
	} else {
		t.sets[key] = next
		t.indexListeners(key, next.gateway, next.listeners, true)
		t.indexSockets(next.gateway, next.listeners, 1)
	}
	t.granted.replace(grantsOf(before.all()), grantsOf(next.all()), t.markGrant)
	t.work.unlisted[key] = struct{}{}
	t.work.unsettled[key] = struct{}{}
}

func (s *listenerSet) all() []listener {
	if s == nil {
		return nil
	}
	return s.listeners
}

// readListenerSet is nil if there is no such ListenerSet, or if its Gateway is
// not ours.
func readListenerSet(r *reader, key snapshot.Key) (*listenerSet, []diagnostic.Diagnostic) {
	object := snapshot.Get[*gatewayv1.ListenerSet](r, key.Namespace, key.Name)
	if object == nil {
		return nil, nil
	}
	ref := object.Spec.ParentRef
	parent, ok := parentKey(object, gatewayv1.ParentReference{Group: ref.Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name})
	if !ok || parent.Kind != snapshot.KindGateway {
		return nil, []diagnostic.Diagnostic{problem{
			field:   "spec.parentRef",
			message: fmt.Sprintf("ListenerSets belong to Gateways, not to %s", groupKind(deref(ref.Group), deref(ref.Kind))),
		}.finding(key, diagnostic.Info)}
	}
	offered := r.termsOf(parent)
	if offered == nil {
		return nil, noGateway(r, key, parent)
	}
	set := &listenerSet{key: key, object: object, gateway: parent}
	if set.refused = offered.refuse(r, key, parent); len(set.refused) > 0 {
		return set, nil
	}
	policies := readClientPolicies(r, key)
	prefix := fmt.Sprintf("%s/%s/%s/%s", parent.Namespace, parent.Name, key.Namespace, key.Name)
	for i, entry := range object.Spec.Listeners {
		l := readListener(r, key, prefix, i, new(gatewayv1.Listener(entry)))
		l.takeGatewayTLS(&offered.tls)
		l.policies, l.mayHTTP3 = policies.of(entry.Name, offered.policy), offered.mayHTTP3()
		set.listeners = append(set.listeners, l)
	}
	return set, nil
}

func noGateway(r *reader, key, parent snapshot.Key) []diagnostic.Diagnostic {
	if r.Object(parent) != nil {
		return nil // It belongs to another controller.
	}
	return []diagnostic.Diagnostic{problem{
		field:   "spec.parentRef",
		message: fmt.Sprintf("Gateway %s/%s does not exist", parent.Namespace, parent.Name),
		fix:     "write the namespace and name of an existing Gateway, or create it",
	}.finding(key, diagnostic.Error)}
}

// refuse obeys Gateway.spec.allowedListeners, whose default is to take none.
func (o *terms) refuse(r *reader, key, gateway snapshot.Key) []problem {
	from := fmt.Sprintf("from namespace %s", gateway.Namespace)
	switch {
	case o.from == gatewayv1.NamespacesFromAll:
		return nil
	case o.from == gatewayv1.NamespacesFromSame && key.Namespace == gateway.Namespace:
		return nil
	case o.from == gatewayv1.NamespacesFromSelector && o.selector != nil && o.selector.Matches(namespaceLabels(r, key.Namespace)):
		return nil
	case o.from == gatewayv1.NamespacesFromSelector:
		from = "from namespaces that its selector selects"
	case o.from != gatewayv1.NamespacesFromSame:
		from = "from no namespace"
	}
	return []problem{{
		reason:  string(gatewayv1.ListenerSetReasonNotAllowed),
		field:   "spec.parentRef",
		message: fmt.Sprintf("Gateway %s/%s takes ListenerSets %s", gateway.Namespace, gateway.Name, from),
		fix:     "change the Gateway's spec.allowedListeners, or move the ListenerSet",
	}}
}

func namespaceLabels(r *reader, name string) labels.Set {
	namespace := snapshot.Get[*corev1.Namespace](r, "", name)
	if namespace == nil {
		return nil
	}
	return namespace.Labels
}
