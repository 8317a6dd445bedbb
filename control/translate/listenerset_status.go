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

// parentNotProgrammed is a reason of ListenerSets that the API documents and has
// no constant for.
const parentNotProgrammed gatewayv1.ListenerSetConditionReason = "ParentNotProgrammed"

// joined is what a Gateway sums up of one of its ListenerSets, and joins the sum.
type (
	joined struct {
		gateway              snapshot.Key
		accepted, programmed bool
	}
	joins struct{ accepted, programmed int }
)

// settleListenerSets says of each ListenerSet that something changed for what
// became of it.
func (t *Translator) settleListenerSets() {
	for key := range t.work.unsettled {
		if key.Kind != snapshot.KindListenerSet {
			continue
		}
		var now joined
		if set := t.sets[key]; set != nil {
			s := t.listenerSetStatus(set)
			t.putStatus(key, status.Status{ListenerSet: s})
			t.putDiagnostics(unit{stageListenerSet, key}, t.listenerSetFindings(set))
			now = joined{set.gateway, holds(s.Conditions[0]), holds(s.Conditions[1])}
		}
		t.join(key, now)
	}
}

func holds(c metav1.Condition) bool { return c.Status == metav1.ConditionTrue }

// join counts the ListenerSet for its Gateway.
func (t *Translator) join(key snapshot.Key, now joined) {
	before := t.joined[key]
	if before == now {
		return
	}
	t.countJoined(before, -1)
	t.countJoined(now, 1)
	if now == (joined{}) {
		delete(t.joined, key)
	} else {
		t.joined[key] = now
	}
}

func (t *Translator) countJoined(j joined, n int) {
	sum := t.joins[j.gateway]
	if j.accepted {
		sum.accepted += n
	}
	if j.programmed {
		sum.programmed += n
	}
	if sum == (joins{}) {
		delete(t.joins, j.gateway)
	} else {
		t.joins[j.gateway] = sum
	}
	t.work.unsettled[j.gateway] = struct{}{}
}

func (t *Translator) listenerSetStatus(set *listenerSet) *gatewayv1.ListenerSetStatus {
	g := t.gateways[set.gateway]
	s := &gatewayv1.ListenerSetStatus{}
	conditions := []metav1.Condition{t.listenerSetAccepted(g, set), t.listenerSetProgrammed(g, set)}
	s.Conditions = status.Observed(set.object.Generation, append(conditions, t.policyAffected(g, set.listeners)...)...)
	for i := range set.listeners {
		l := t.listenerStatus(g, &set.listeners[i], set.object.Generation)
		s.Listeners = append(s.Listeners, gatewayv1.ListenerEntryStatus(l))
	}
	return s
}

// listenerSetAccepted follows the rules for Gateways: one good listener is
// enough, and those that are not are named.
func (t *Translator) listenerSetAccepted(g *gateway, set *listenerSet) metav1.Condition {
	const accepted = gatewayv1.ListenerSetConditionAccepted
	switch bad := t.refusedListeners(set.listeners); {
	case len(set.refused) > 0:
		return failed(accepted, set.refused)
	case len(g.invalid) > 0:
		return status.False(accepted, gatewayv1.ListenerSetReasonParentNotAccepted, fmt.Sprintf("Gateway %s/%s is not accepted", g.key.Namespace, g.key.Name))
	case len(bad) == len(set.listeners):
		return status.False(accepted, gatewayv1.ListenerSetReasonListenersNotValid, "no listener is accepted")
	case len(bad) > 0:
		return status.True(accepted, gatewayv1.ListenerSetReasonListenersNotValid, "these listeners are not accepted: "+strings.Join(bad, ", "))
	}
	return status.True(accepted, gatewayv1.ListenerSetReasonAccepted, "all listeners are accepted")
}

func (t *Translator) listenerSetProgrammed(g *gateway, set *listenerSet) metav1.Condition {
	const programmed = gatewayv1.ListenerSetConditionProgrammed
	switch {
	case len(set.refused) > 0:
		return failed(programmed, set.refused)
	case !g.bindable():
		return status.False(programmed, parentNotProgrammed, fmt.Sprintf("Gateway %s/%s is not served", g.key.Namespace, g.key.Name))
	case len(t.refusedListeners(set.listeners)) == len(set.listeners):
		return status.False(programmed, gatewayv1.ListenerSetReasonListenersNotValid, "no listener is accepted")
	}
	next := status.True(programmed, gatewayv1.ListenerSetReasonProgrammed, "the data plane serves all accepted listeners")
	for i := range set.listeners {
		l := &set.listeners[i]
		if !t.listenerAccepted(l) {
			continue
		}
		switch c := t.listenerProgrammed(g, l); c.Status {
		case metav1.ConditionFalse:
			return status.False(programmed, c.Reason, fmt.Sprintf("listener %s: %s", l.spec.Name, c.Message))
		case metav1.ConditionUnknown:
			next = status.Unknown(programmed, c.Reason, c.Message)
		}
	}
	return next
}

// refusedListeners are the names of those that are not accepted.
func (t *Translator) refusedListeners(listeners []listener) []string {
	var bad []string
	for i := range listeners {
		if l := &listeners[i]; !t.listenerAccepted(l) {
			bad = append(bad, string(l.spec.Name))
		}
	}
	return bad
}

// listenerSetFindings are the problems of a ListenerSet and what a reviewer
// would ask.
func (t *Translator) listenerSetFindings(set *listenerSet) []diagnostic.Diagnostic {
	g := t.gateways[set.gateway]
	found := findings(set.key, set.refused)
	if len(set.refused) == 0 && len(g.invalid) > 0 {
		found = append(found, problem{
			field:   "spec.parentRef",
			message: fmt.Sprintf("Gateway %s/%s is not accepted", g.key.Namespace, g.key.Name),
			fix:     "see its conditions",
		}.finding(set.key, diagnostic.Error))
	}
	more, serves := t.listenerFindings(g, set.listeners)
	found = append(found, more...)
	if serves && t.countRoutes(set.listeners) == 0 {
		found = append(found, withoutRoutes(set.key))
	}
	return found
}
