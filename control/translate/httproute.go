package translate

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// route is the translation of one route.
type route struct {
	// config is nil if nothing of the route is served.
	config *config.Route
	status status.Status
	found  []diagnostic.Diagnostic
	// attached are the listeners that count the route, by the definition of
	// status.listeners[].attachedRoutes.
	attached []attachedListener
	// backends are those that the rules send requests to.
	backends []backendName
	// grants are the ReferenceGrants that the route leans on.
	grants []snapshot.Key
}

type attachedListener struct {
	owner snapshot.Key
	name  string
}

// translateRoutes translates the HTTPRoutes that something changed for.
func (t *Translator) translateRoutes() {
	for _, key := range t.graph.take(stageRoute) {
		r := t.reader()
		next := translateHTTPRoute(r, t.options, key)
		t.graph.record(unit{stageRoute, key}, r.read)
		t.replaceRoute(key, next)
		// Routes are many, and the data plane shares the processors.
		runtime.Gosched()
	}
}

// replaceRoute keeps the new translation, counts what it uses and dirties what
// that decides.
func (t *Translator) replaceRoute(key snapshot.Key, next *route) {
	before := t.routes[key]
	if before == nil {
		before = &route{}
	}
	if next == nil {
		delete(t.routes, key)
		next = &route{}
	} else {
		t.routes[key] = next
	}
	t.putRoute(routeName(key), next.config)
	t.putStatus(key, next.status)
	t.putDiagnostics(unit{stageRoute, key}, next.found)
	t.countAttached(before.attached, next.attached)
	t.used.replace(before.backends, next.backends, t.markBackend)
	t.granted.replace(before.grants, next.grants, t.markGrant)
}

func (t *Translator) countAttached(before, after []attachedListener) {
	if slices.Equal(before, after) {
		return
	}
	for _, l := range before {
		if t.attached[l.name]--; t.attached[l.name] == 0 {
			delete(t.attached, l.name)
		}
		t.work.unsettled[l.owner] = struct{}{}
	}
	for _, l := range after {
		t.attached[l.name]++
		t.work.unsettled[l.owner] = struct{}{}
	}
}

func routeName(key snapshot.Key) string {
	return fmt.Sprintf("%s/%s/%s", strings.ToLower(string(key.Kind)), key.Namespace, key.Name)
}

// translateHTTPRoute is nil if there is no such route.
func translateHTTPRoute(r *reader, options Options, key snapshot.Key) *route {
	object := snapshot.Get[*gatewayv1.HTTPRoute](r, key.Namespace, key.Name)
	if object == nil {
		return nil
	}
	rules := &ruleTranslator{r: r, options: options, route: key, matched: map[string]string{}}
	rules.local = options.Cluster != nil && localBackends(r, object)
	rules.translate(object.Spec.Rules)

	parents := &parentTranslator{r: r, options: options, key: key, object: object, rules: rules}
	parents.translate(object.Spec.ParentRefs)

	next := &route{attached: parents.attached, found: parents.found, grants: rules.grants}
	if parents.ours || len(object.Spec.ParentRefs) == 0 {
		next.found = slices.Concat(parents.found, findings(key, rules.invalid), findings(key, rules.unresolved), rules.review)
	}
	if len(parents.statuses) > 0 {
		next.status.Route = &gatewayv1.RouteStatus{Parents: parents.statuses}
	}
	if len(parents.attachments) > 0 {
		next.backends = rules.backends
		next.config = &config.Route{
			Name:        routeName(key),
			Created:     object.CreationTimestamp.Time,
			Attachments: parents.attachments,
			Rules:       rules.rules,
		}
	}
	next.found = append(next.found, reviewHTTPRoute(key, object, next, parents)...)
	return next
}

// localBackends reports whether all parents of ours let Backend objects name what
// only the data plane can reach.
func localBackends(r *reader, object *gatewayv1.HTTPRoute) bool {
	allowed := false
	for _, ref := range object.Spec.ParentRefs {
		parent, ok := parentKey(object, ref)
		if !ok {
			continue
		}
		if seen := r.binding(parent); seen != nil {
			if !seen.LocalBackends {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

// parentTranslator binds one route to its parents.
type parentTranslator struct {
	r       *reader
	options Options
	key     snapshot.Key
	object  *gatewayv1.HTTPRoute
	rules   *ruleTranslator

	// ours says that a parent is one of ours, or may become one.
	ours        bool
	statuses    []gatewayv1.RouteParentStatus
	attachments []config.Attachment
	attached    []attachedListener
	found       []diagnostic.Diagnostic
}

func (p *parentTranslator) translate(refs []gatewayv1.ParentReference) {
	for i, ref := range refs {
		p.parent(fmt.Sprintf("spec.parentRefs[%d]", i), ref)
	}
	slices.SortFunc(p.attachments, func(a, b config.Attachment) int { return strings.Compare(a.Listener, b.Listener) })
}

// parent binds the route to one parent. Parents of other controllers get no
// status from this one.
func (p *parentTranslator) parent(field string, ref gatewayv1.ParentReference) {
	parent, ok := parentKey(p.object, ref)
	if !ok {
		p.note(diagnostic.Info, field, fmt.Sprintf("Sluice attaches routes to Gateways and ListenerSets, not to %s", groupKind(deref(ref.Group), deref(ref.Kind))), "")
		return
	}
	seen := p.r.binding(parent)
	if seen == nil {
		if p.r.Object(parent) == nil {
			p.ours = true
			p.note(diagnostic.Error, field, fmt.Sprintf("%s %s/%s does not exist", parent.Kind, parent.Namespace, parent.Name), fmt.Sprintf("write the namespace and name of an existing %s, or create it", parent.Kind))
		}
		return
	}
	p.ours = true
	binding := attach.Bind(p.seen(), ref, seen, func() labels.Set { return namespaceLabels(p.r, p.key.Namespace) })
	accepted := p.accepted(binding)
	if accepted.Status == metav1.ConditionTrue {
		p.attach(parent, binding)
	} else if binding.Reason != "" {
		p.note(diagnostic.Error, field, binding.Message, bindingFix(seen, binding.Reason))
	}
	p.statuses = append(p.statuses, gatewayv1.RouteParentStatus{
		ParentRef:      ref,
		ControllerName: p.options.ControllerName,
		Conditions:     status.Observed(p.object.Generation, p.conditions(accepted)...),
	})
}

func (p *parentTranslator) seen() attach.Route {
	seen := attach.Route{Kind: httpRouteKind.Kind, Namespace: p.key.Namespace}
	for _, hostname := range p.object.Spec.Hostnames {
		seen.Hostnames = append(seen.Hostnames, strings.ToLower(string(hostname)))
	}
	return seen
}

// attach attaches the route to listeners. Two parentRefs may lead to the same
// one, by its name and by its port.
func (p *parentTranslator) attach(owner snapshot.Key, binding attach.Binding) {
	for _, a := range binding.Attachments {
		l := attachedListener{owner, a.Listener.Configured}
		if slices.Contains(p.attached, l) {
			continue
		}
		p.attached = append(p.attached, l)
		if a.Listener.Served {
			p.attachments = append(p.attachments, config.Attachment{Listener: l.name, Hostnames: a.Hostnames})
		}
	}
}

// accepted is what one parent says of the route.
func (p *parentTranslator) accepted(binding attach.Binding) metav1.Condition {
	const accepted = gatewayv1.RouteConditionAccepted
	switch {
	case binding.Reason != "":
		return status.False(accepted, binding.Reason, binding.Message)
	case len(p.rules.invalid) > 0 && !p.rules.serves:
		return failed(accepted, p.rules.invalid)
	}
	return status.True(accepted, gatewayv1.RouteReasonAccepted, "the route is attached to "+listenerList(binding))
}

func listenerList(binding attach.Binding) string {
	var names []string
	for _, a := range binding.Attachments {
		names = append(names, string(a.Listener.Name))
	}
	if len(names) == 1 {
		return "listener " + names[0]
	}
	return "listeners " + strings.Join(names, ", ")
}

func (p *parentTranslator) conditions(accepted metav1.Condition) []metav1.Condition {
	resolved := status.True(gatewayv1.RouteConditionResolvedRefs, gatewayv1.RouteReasonResolvedRefs, "all references are resolved")
	if len(p.rules.unresolved) > 0 {
		resolved = failed(gatewayv1.RouteConditionResolvedRefs, p.rules.unresolved)
	}
	conditions := []metav1.Condition{accepted, resolved}
	if accepted.Status == metav1.ConditionTrue && len(p.rules.invalid) > 0 {
		conditions = append(conditions, partiallyInvalid(p.rules))
	}
	return conditions
}

// partiallyInvalid follows the API's approach "Drop Rule", which prescribes how
// the message begins.
func partiallyInvalid(rules *ruleTranslator) metav1.Condition {
	return status.True(gatewayv1.RouteConditionPartiallyInvalid, rules.invalid[0].reason,
		fmt.Sprintf("Dropped Rule %s: %s", strings.Join(rules.dropped, ", "), messages(rules.invalid)))
}

func bindingFix(parent *attach.Parent, reason gatewayv1.RouteConditionReason) string {
	if parent.Refused != "" {
		return fmt.Sprintf("see the conditions of the %s", parent.Kind)
	}
	switch reason {
	case gatewayv1.RouteReasonNoMatchingParent:
		return "correct sectionName and port, or remove them to attach to all listeners"
	case gatewayv1.RouteReasonNotAllowedByListeners:
		return "change the listener's allowedRoutes, or move the route"
	case gatewayv1.RouteReasonNoMatchingListenerHostname:
		return "write hostnames that the listener's hostname covers, or widen the listener's"
	}
	return ""
}

func (p *parentTranslator) note(severity diagnostic.Severity, field, message, fix string) {
	p.found = append(p.found, problem{field: field, message: message, fix: fix}.finding(p.key, severity))
}

// reviewHTTPRoute is what a reviewer would ask about the route as a whole.
func reviewHTTPRoute(key snapshot.Key, object *gatewayv1.HTTPRoute, translated *route, parents *parentTranslator) []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	warn := func(field, message, fix string) {
		found = append(found, problem{field: field, message: message, fix: fix}.finding(key, diagnostic.Warning))
	}
	if len(object.Spec.ParentRefs) == 0 {
		warn("spec.parentRefs", "the route names no parent, so it is not served", "name a Gateway in parentRefs")
	}
	if len(parents.attached) > 0 && translated.config == nil {
		warn("spec.parentRefs", "the route is attached only to listeners that are not served", "see the conditions of their Gateway or ListenerSet")
	}
	if scope := object.Spec.UseDefaultGateways; scope != "" && scope != gatewayv1.GatewayDefaultScopeNone {
		warn("spec.useDefaultGateways", "default Gateways are valid; this version of Sluice does not serve that yet", "name a Gateway in parentRefs")
	}
	return found
}
