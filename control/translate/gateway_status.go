package translate

import (
	"fmt"
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
		s.Listeners = append(s.Listeners, t.listenerStatus(g, &g.listeners[i]))
	}
	s.Conditions = status.Observed(g.object.Generation, t.gatewayAccepted(g), t.gatewayProgrammed(g))
	if t.servesAny(g) {
		s.Addresses = t.addresses(g)
	}
	return s
}

// gatewayAccepted obeys the rules for partly valid Gateways: it is accepted if
// at least one listener is, and says which are not.
func (t *Translator) gatewayAccepted(g *gateway) metav1.Condition {
	const accepted = gatewayv1.GatewayConditionAccepted
	if len(g.invalid) > 0 {
		return failed(accepted, g.invalid)
	}
	var bad []string
	for i := range g.listeners {
		if l := &g.listeners[i]; !t.listenerAccepted(l) {
			bad = append(bad, string(l.spec.Name))
		}
	}
	switch {
	case len(bad) == 0:
		return status.True(accepted, gatewayv1.GatewayReasonAccepted, "all listeners are accepted")
	case len(bad) == len(g.listeners):
		return status.False(accepted, gatewayv1.GatewayReasonListenersNotValid, "no listener is accepted")
	}
	return status.True(accepted, gatewayv1.GatewayReasonListenersNotValid, "these listeners are not accepted: "+strings.Join(bad, ", "))
}

func (t *Translator) listenerAccepted(l *listener) bool {
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
	if len(g.unassigned) > 0 {
		return failed(programmed, g.unassigned)
	}
	var failures []string
	accepted, unknown := false, false
	for i := range g.listeners {
		l := &g.listeners[i]
		if !t.listenerAccepted(l) {
			continue
		}
		accepted = true
		answer := t.served.of(l.name)
		unknown = unknown || !answer.known
		if answer.failure != "" {
			failures = append(failures, fmt.Sprintf("listener %s: %s", l.spec.Name, answer.failure))
		}
	}
	switch {
	case !accepted:
		return status.False(programmed, gatewayv1.GatewayReasonInvalid, "no listener is accepted")
	case len(failures) > 0:
		return status.False(programmed, gatewayv1.GatewayReasonAddressNotUsable, strings.Join(failures, "; "))
	case unknown:
		return status.Unknown(programmed, gatewayv1.GatewayReasonPending, "the data plane has not reported yet")
	}
	return status.True(programmed, gatewayv1.GatewayReasonProgrammed, "the data plane serves all accepted listeners")
}

func (t *Translator) servesAny(g *gateway) bool {
	for i := range g.listeners {
		if answer := t.served.of(g.listeners[i].name); answer.known && answer.failure == "" {
			return true
		}
	}
	return false
}

func (t *Translator) addresses(g *gateway) []gatewayv1.GatewayStatusAddress {
	bound := g.addresses
	if len(bound) == 0 {
		bound = t.options.HostAddresses
	}
	kind := gatewayv1.IPAddressType
	var all []gatewayv1.GatewayStatusAddress
	for _, ip := range bound {
		all = append(all, gatewayv1.GatewayStatusAddress{Type: &kind, Value: ip.String()})
	}
	return all
}

func (t *Translator) listenerStatus(g *gateway, l *listener) gatewayv1.ListenerStatus {
	kinds := l.kinds
	if kinds == nil {
		kinds = []gatewayv1.RouteGroupKind{} // none, as opposed to unknown
	}
	return gatewayv1.ListenerStatus{
		Name:           l.spec.Name,
		SupportedKinds: kinds,
		AttachedRoutes: int32(t.attached[l.name]),
		Conditions: status.Observed(g.object.Generation,
			t.listenerAcceptedCondition(l),
			t.listenerConflicted(l),
			listenerResolvedRefs(l),
			t.listenerProgrammed(g, l),
		),
	}
}

func (t *Translator) listenerAcceptedCondition(l *listener) metav1.Condition {
	if len(l.invalid) > 0 {
		return failed(gatewayv1.ListenerConditionAccepted, l.invalid)
	}
	if c, ok := t.conflicts[l.name]; ok {
		return status.False(gatewayv1.ListenerConditionAccepted, c.reason, c.message)
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
	if l.spec.TLS != nil {
		return status.Unknown(gatewayv1.ListenerConditionResolvedRefs, gatewayv1.ListenerReasonPending, "this version of Sluice does not read certificates yet")
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
	if len(l.invalid) > 0 {
		return status.False(programmed, gatewayv1.ListenerReasonInvalid, "the listener is not accepted")
	}
	switch answer := t.served.of(l.name); {
	case !answer.known:
		return status.Unknown(programmed, gatewayv1.ListenerReasonPending, "the data plane has not reported yet")
	case answer.failure != "":
		return status.False(programmed, gatewayv1.ListenerReasonPortUnavailable, answer.failure)
	}
	return status.True(programmed, gatewayv1.ListenerReasonProgrammed, "the data plane serves the listener")
}

// gatewayFindings are the problems of a Gateway and what a reviewer would ask.
func (t *Translator) gatewayFindings(g *gateway) []diagnostic.Diagnostic {
	found := findings(g.key, append(g.invalid[:len(g.invalid):len(g.invalid)], g.unassigned...))
	routes, serves := 0, false
	for i := range g.listeners {
		l := &g.listeners[i]
		found = append(found, findings(g.key, l.invalid)...)
		found = append(found, findings(g.key, l.unresolved)...)
		if c, ok := t.conflicts[l.name]; ok {
			found = append(found, conflictFinding(g.key, l, c))
		}
		if answer := t.served.of(l.name); answer.failure != "" {
			found = append(found, unservedFinding(g.key, l, answer))
		}
		routes += t.attached[l.name]
		serves = serves || g.bindable() && t.listenerAccepted(l)
	}
	if serves && routes == 0 {
		found = append(found, problem{
			message: "no route is attached, so every request is answered with 404",
			fix:     "write an HTTPRoute with a parentRef to this Gateway",
		}.finding(g.key, diagnostic.Warning))
	}
	return append(found, g.review...)
}

func conflictFinding(key snapshot.Key, l *listener, c conflict) diagnostic.Diagnostic {
	return problem{field: l.field, message: c.message, fix: "give it another port, hostname or address"}.finding(key, diagnostic.Error)
}

func unservedFinding(key snapshot.Key, l *listener, a answer) diagnostic.Diagnostic {
	return problem{field: l.field, message: "the data plane does not serve it: " + a.failure, fix: a.fix}.finding(key, diagnostic.Error)
}
