package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// settleGateways says of each Gateway that something changed for what became of it.
func (t *Translator) settleGateways() {
	for key := range t.work.unsettled {
		g := t.gateways[key]
		if g == nil {
			continue
		}
		t.putStatus(key, status.Status{Gateway: t.gatewayStatus(g)})
		t.putDiagnostics(unit{stageGateway, key}, t.gatewayFindings(g))
	}
}

func (t *Translator) gatewayStatus(g *gateway) *gatewayv1.GatewayStatus {
	s := &gatewayv1.GatewayStatus{}
	for i := range g.listeners {
		s.Listeners = append(s.Listeners, t.listenerStatus(g, &g.listeners[i], g.object.Generation))
	}
	if g.object.Spec.AllowedListeners != nil {
		s.AttachedListenerSets = new(int32(t.joins[g.key].accepted))
	}
	s.Conditions = status.Observed(g.object.Generation, t.gatewayConditions(g)...)
	if t.shared() || t.servesAny(g) {
		all := t.addresses(g)
		s.Addresses = all[:min(len(all), maxAddresses)]
	}
	return s
}

func (t *Translator) gatewayConditions(g *gateway) []metav1.Condition {
	conditions := []metav1.Condition{t.gatewayAccepted(g), t.gatewayProgrammed(g), gatewayResolvedRefs(g)}
	if g.tls.insecure() {
		conditions = append(conditions, insecureFrontend())
	}
	return append(conditions, t.policyAffected(g, g.listeners)...)
}

// gatewayAccepted obeys the rules for partly valid Gateways: it is accepted if
// at least one listener is, be it a ListenerSet's, and says which are not.
func (t *Translator) gatewayAccepted(g *gateway) metav1.Condition {
	const accepted = gatewayv1.GatewayConditionAccepted
	if len(g.invalid) > 0 {
		return failed(accepted, g.invalid)
	}
	switch bad := t.refusedListeners(g.listeners); {
	case len(bad) == 0:
		return status.True(accepted, gatewayv1.GatewayReasonAccepted, "all listeners are accepted")
	case len(bad) == len(g.listeners) && t.joins[g.key].accepted == 0:
		return status.False(accepted, gatewayv1.GatewayReasonListenersNotValid, "no listener is accepted")
	default:
		return status.True(accepted, gatewayv1.GatewayReasonListenersNotValid, "these listeners are not accepted: "+strings.Join(bad, ", "))
	}
}

func (t *Translator) listenerAccepted(l *listener) bool {
	_, inConflict := t.conflicts[l.name]
	return len(l.invalid) == 0 && len(l.lacking) == 0 && !inConflict
}

// listenerStands reports whether the listener keeps its place: it is accepted, or
// lacks nothing but certificates.
func (t *Translator) listenerStands(l *listener) bool {
	_, inConflict := t.conflicts[l.name]
	return len(l.invalid) == 0 && !inConflict
}

// gatewayProgrammed sums up the listeners: true once the data plane serves each
// of those that are accepted.
func (t *Translator) gatewayProgrammed(g *gateway) metav1.Condition {
	const programmed = gatewayv1.GatewayConditionProgrammed
	if len(g.invalid) > 0 {
		return status.False(programmed, gatewayv1.GatewayReasonInvalid, "the Gateway is not accepted")
	}
	// Its ListenerSets count where it has nothing else.
	accepted := len(t.refusedListeners(g.listeners)) < len(g.listeners)
	unknown := !accepted && t.joins[g.key].programmed == 0
	if !accepted && t.joins[g.key].accepted == 0 {
		return status.False(programmed, gatewayv1.GatewayReasonInvalid, "no listener is accepted")
	}
	if c := t.unreachable(g); c != nil {
		return *c
	}
	var failures []string
	var waiting string
	for i := range g.listeners {
		l := &g.listeners[i]
		if !t.listenerAccepted(l) {
			continue
		}
		answer := t.answerOf(g, l)
		if answer.nobody {
			return status.False(programmed, gatewayv1.GatewayReasonPending, answer.waiting)
		}
		if !answer.known {
			unknown, waiting = true, cmp.Or(waiting, answer.waiting)
		}
		if answer.failure != "" {
			failures = append(failures, fmt.Sprintf("listener %s: %s", l.spec.Name, answer.failure))
		}
	}
	switch {
	case len(failures) > 0:
		return status.False(programmed, gatewayv1.GatewayReasonAddressNotUsable, strings.Join(failures, "; "))
	case unknown:
		return status.Unknown(programmed, gatewayv1.GatewayReasonPending, cmp.Or(waiting, notReported))
	}
	return status.True(programmed, gatewayv1.GatewayReasonProgrammed, "the data plane serves all accepted listeners")
}

// maxAddresses is the most that status.addresses takes.
const maxAddresses = 16

const notReported = "the data plane has not reported yet"

func (t *Translator) servesAny(g *gateway) bool {
	if t.joins[g.key].programmed > 0 {
		return true
	}
	for i := range g.listeners {
		if answer := t.answerOf(g, &g.listeners[i]); answer.known && (answer.failure == "" || answer.partly) {
			return true
		}
	}
	return false
}

// listenerStatus is the status of a listener of the Gateway or of one of its
// ListenerSets.
func (t *Translator) listenerStatus(g *gateway, l *listener, generation int64) gatewayv1.ListenerStatus {
	kinds := l.kinds
	if kinds == nil {
		kinds = []gatewayv1.RouteGroupKind{} // none, as opposed to unknown
	}
	conditions := []metav1.Condition{
		t.listenerAcceptedCondition(l),
		t.listenerConflicted(l),
		listenerResolvedRefs(l),
		t.listenerProgrammed(g, l),
	}
	if port := t.ports[t.portKey(g.key, l.spec.Port)]; l.spec.Protocol == gatewayv1.HTTPSProtocolType && port.secure.with(l.hostname) {
		conditions = append(conditions, status.True(gatewayv1.ListenerConditionOverlappingTLSConfig, gatewayv1.ListenerReasonOverlappingHostnames,
			"another HTTPS listener of the port has a hostname that covers this one's or is covered by it; the more specific goes first"))
	}
	return gatewayv1.ListenerStatus{
		Name:           l.spec.Name,
		SupportedKinds: kinds,
		AttachedRoutes: int32(t.attached[l.name]),
		Conditions:     status.Observed(generation, conditions...),
	}
}

func (t *Translator) listenerAcceptedCondition(l *listener) metav1.Condition {
	if c, ok := t.conflicts[l.name]; ok {
		return status.False(gatewayv1.ListenerConditionAccepted, c.reason, c.message)
	}
	if len(l.invalid) > 0 {
		return failed(gatewayv1.ListenerConditionAccepted, l.invalid)
	}
	if len(l.lacking) > 0 {
		return failed(gatewayv1.ListenerConditionAccepted, l.lacking)
	}
	return status.True(gatewayv1.ListenerConditionAccepted, gatewayv1.ListenerReasonAccepted, "the listener is valid")
}

func (t *Translator) listenerConflicted(l *listener) metav1.Condition {
	if c, ok := t.conflicts[l.name]; ok {
		return status.True(gatewayv1.ListenerConditionConflicted, c.reason, c.message)
	}
	return status.False(gatewayv1.ListenerConditionConflicted, gatewayv1.ListenerReasonNoConflicts, "no other listener claims the same")
}

func listenerResolvedRefs(l *listener) metav1.Condition {
	if len(l.unresolved) > 0 {
		return failed(gatewayv1.ListenerConditionResolvedRefs, l.unresolved)
	}
	return status.True(gatewayv1.ListenerConditionResolvedRefs, gatewayv1.ListenerReasonResolvedRefs, "all references are resolved")
}

func (t *Translator) listenerProgrammed(g *gateway, l *listener) metav1.Condition {
	const programmed = gatewayv1.ListenerConditionProgrammed
	if c, ok := t.conflicts[l.name]; ok {
		return status.False(programmed, c.reason, c.message)
	}
	if !g.bindable() {
		return status.False(programmed, gatewayv1.ListenerReasonInvalid, "the Gateway has nothing to bind")
	}
	if !t.listenerAccepted(l) {
		return status.False(programmed, gatewayv1.ListenerReasonInvalid, "the listener is not accepted")
	}
	switch answer := t.answerOf(g, l); {
	case answer.nobody:
		return status.False(programmed, gatewayv1.ListenerReasonPending, answer.waiting)
	case !answer.known:
		return status.Unknown(programmed, gatewayv1.ListenerReasonPending, cmp.Or(answer.waiting, notReported))
	case answer.failure != "":
		return status.False(programmed, gatewayv1.ListenerReasonPortUnavailable, answer.failure)
	}
	return status.True(programmed, gatewayv1.ListenerReasonProgrammed, "the data plane serves the listener")
}

// gatewayFindings are the problems of a Gateway and what a reviewer would ask.
func (t *Translator) gatewayFindings(g *gateway) []diagnostic.Diagnostic {
	found := findings(g.key, slices.Concat(g.invalid, g.unassigned, g.tls.unresolved))
	more, serves := t.listenerFindings(g, g.listeners)
	found = append(found, more...)
	if serves && t.countRoutes(g.listeners) == 0 && t.joins[g.key].accepted == 0 {
		found = append(found, withoutRoutes(g.key))
	}
	return append(found, g.review...)
}

// listenerFindings are the findings about listeners that are served with the
// Gateway, and whether any of them is served.
func (t *Translator) listenerFindings(g *gateway, listeners []listener) (found []diagnostic.Diagnostic, serves bool) {
	for i := range listeners {
		l := &listeners[i]
		found = append(found, findings(l.owner, l.invalid)...)
		for _, d := range findings(l.owner, l.unresolved) {
			// Listeners may share a reference of their Gateway.
			if !slices.Contains(found, d) {
				found = append(found, d)
			}
		}
		found = append(found, l.review...)
		if c, ok := t.conflicts[l.name]; ok {
			found = append(found, conflictFinding(l, c))
		}
		if answer := t.answerOf(g, l); answer.failure != "" {
			found = append(found, unservedFinding(l, answer))
		}
		serves = serves || g.bindable() && t.listenerAccepted(l)
	}
	return found, serves
}

// countRoutes counts a route for each listener that it is attached to.
func (t *Translator) countRoutes(listeners []listener) (routes int) {
	for i := range listeners {
		routes += t.attached[listeners[i].name]
	}
	return routes
}

func withoutRoutes(key snapshot.Key) diagnostic.Diagnostic {
	return problem{
		message: "no route is attached, so every request is answered with 404",
		fix:     fmt.Sprintf("write an HTTPRoute with a parentRef to this %s", key.Kind),
	}.finding(key, diagnostic.Warning)
}

func conflictFinding(l *listener, c conflict) diagnostic.Diagnostic {
	return problem{field: l.field, message: c.message, fix: "give it another port, hostname or address"}.finding(l.owner, diagnostic.Error)
}

func unservedFinding(l *listener, a answer) diagnostic.Diagnostic {
	return problem{field: l.field, message: "the data plane does not serve it: " + a.failure, fix: a.fix}.finding(l.owner, diagnostic.Error)
}
