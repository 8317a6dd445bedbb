package translate

import (
	"fmt"
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

// parentTranslator binds one route to its parents.
type parentTranslator struct {
	r       *reader
	options Options
	rivals  map[string]*rivals // by listener
	key     snapshot.Key
	source  *routeSource
	rules   *ruleTranslator

	// ours says that a parent is one of ours, or may become one.
	ours        bool
	statuses    []gatewayv1.RouteParentStatus
	attachments []config.Attachment
	attached    []attachedListener
	claims      []*routeClaim
	found       []diagnostic.Diagnostic
}

func (p *parentTranslator) translate() {
	for i, ref := range p.source.parents.ParentRefs {
		p.parent(fmt.Sprintf("spec.parentRefs[%d]", i), ref)
	}
	slices.SortFunc(p.attachments, func(a, b config.Attachment) int { return strings.Compare(a.Listener, b.Listener) })
}

// parent binds the route to one parent. Parents of other controllers get no
// status from this one.
func (p *parentTranslator) parent(field string, ref gatewayv1.ParentReference) {
	parent, ok := parentKey(p.source.object, ref)
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
	var lost []string
	if p.servesAny() {
		binding, lost = p.claim(binding)
	}
	accepted := p.accepted(binding, lost)
	if accepted.Status == metav1.ConditionTrue {
		p.attach(parent, binding)
	}
	switch {
	case binding.Reason != "":
		p.note(diagnostic.Error, field, binding.Message, bindingFix(seen, binding.Reason))
	case len(lost) > 0:
		p.note(diagnostic.Warning, field, strings.Join(lost, "; "), bindingFix(seen, hostnameConflict))
	}
	p.statuses = append(p.statuses, gatewayv1.RouteParentStatus{
		ParentRef:      ref,
		ControllerName: p.options.ControllerName,
		Conditions:     status.Observed(p.source.object.GetGeneration(), p.conditions(accepted)...),
	})
}

func (p *parentTranslator) seen() attach.Route {
	seen := attach.Route{Kind: gatewayv1.Kind(p.key.Kind), Namespace: p.key.Namespace}
	for _, hostname := range p.source.hostnames {
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

// servesAny reports whether the route has anything to serve: without, it takes
// nothing from others.
func (p *parentTranslator) servesAny() bool { return p.rules.serves || len(p.rules.invalid) == 0 }

// claim claims the hostnames of the listeners that take the route, and leaves
// those in the binding that no older route of another kind keeps it from.
func (p *parentTranslator) claim(binding attach.Binding) (left attach.Binding, lost []string) {
	left = binding
	left.Attachments = nil
	for _, a := range binding.Attachments {
		name := a.Listener.Configured
		if !slices.ContainsFunc(p.claims, func(c *routeClaim) bool { return c.listener == name }) {
			p.claims = append(p.claims, &routeClaim{
				route:     p.key,
				created:   p.source.object.GetCreationTimestamp().Time,
				listener:  name,
				hostnames: a.Hostnames,
			})
		}
		if message := p.rivals[name].lostBy(p.key); message != "" {
			lost = append(lost, fmt.Sprintf("listener %s: %s", a.Listener.Name, message))
		} else {
			left.Attachments = append(left.Attachments, a)
		}
	}
	if len(lost) > 0 && len(left.Attachments) == 0 {
		left.Reason, left.Message = hostnameConflict, strings.Join(lost, "; ")
	}
	return left, lost
}

// accepted is what one parent says of the route, which lost some listeners.
func (p *parentTranslator) accepted(binding attach.Binding, lost []string) metav1.Condition {
	const accepted = gatewayv1.RouteConditionAccepted
	switch {
	case binding.Reason != "":
		return status.False(accepted, binding.Reason, binding.Message)
	case !p.servesAny():
		return failed(accepted, p.rules.invalid)
	}
	message := "the route is attached to " + listenerList(binding)
	if len(lost) > 0 {
		message += "; not to " + strings.Join(lost, "; ")
	}
	return status.True(accepted, gatewayv1.RouteReasonAccepted, message)
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
	case hostnameConflict:
		return "write other hostnames, or attach the routes to different listeners: HTTPRoutes and GRPCRoutes share none"
	case gatewayv1.RouteReasonNoMatchingListenerHostname:
		return "write hostnames that the listener's hostname covers, or widen the listener's"
	}
	return ""
}

func (p *parentTranslator) note(severity diagnostic.Severity, field, message, fix string) {
	p.found = append(p.found, problem{field: field, message: message, fix: fix}.finding(p.key, severity))
}
