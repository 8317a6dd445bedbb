package status

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// String prints the status for people, a condition on each line. Time stamps
// and messages that only say that all is well are left out.
func (s Status) String() string {
	var b strings.Builder
	switch {
	case s.GatewayClass != nil:
		printConditions(&b, "", s.GatewayClass.Conditions)
	case s.Gateway != nil:
		s.printGateway(&b)
	case s.ListenerSet != nil:
		printConditions(&b, "", s.ListenerSet.Conditions)
		for _, l := range s.ListenerSet.Listeners {
			printListener(&b, gatewayv1.ListenerStatus(l))
		}
	case s.Backend != nil:
		printConditions(&b, "", s.Backend.Conditions)
	case s.Route != nil:
		for _, p := range s.Route.Parents {
			fmt.Fprintf(&b, "parent %s\n", printRef(p.ParentRef))
			printConditions(&b, "  ", p.Conditions)
		}
	case s.Policy != nil:
		for _, a := range s.Policy.Ancestors {
			fmt.Fprintf(&b, "ancestor %s\n", printRef(a.AncestorRef))
			printConditions(&b, "  ", a.Conditions)
		}
	}
	return b.String()
}

func (s Status) printGateway(b *strings.Builder) {
	var addresses []string
	for _, a := range s.Gateway.Addresses {
		addresses = append(addresses, a.Value)
	}
	if len(addresses) > 0 {
		fmt.Fprintf(b, "addresses %s\n", strings.Join(addresses, " "))
	}
	if n := s.Gateway.AttachedListenerSets; n != nil {
		fmt.Fprintf(b, "attachedListenerSets %d\n", *n)
	}
	printConditions(b, "", s.Gateway.Conditions)
	for _, l := range s.Gateway.Listeners {
		printListener(b, l)
	}
}

// printListener prints the status of a listener of a Gateway or ListenerSet.
func printListener(b *strings.Builder, l gatewayv1.ListenerStatus) {
	fmt.Fprintf(b, "listener %s attachedRoutes=%d supportedKinds=%s\n", l.Name, l.AttachedRoutes, printKinds(l.SupportedKinds))
	printConditions(b, "  ", l.Conditions)
}

func printKinds(kinds []gatewayv1.RouteGroupKind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k.Kind))
	}
	return "[" + strings.Join(names, " ") + "]"
}

// printRef is "namespace/name#section:port", with what is set, and the kind in
// front if it is no Gateway.
func printRef(ref gatewayv1.ParentReference) string {
	p := parentOf(ref)
	text := p.name
	if p.namespace != "" {
		text = p.namespace + "/" + text
	}
	if p.section != "" {
		text += "#" + p.section
	}
	if p.port != 0 {
		text += fmt.Sprintf(":%d", p.port)
	}
	if p.kind != "" && p.kind != string(snapshot.KindGateway) {
		text = p.kind + " " + text
	}
	return text
}

func printConditions(b *strings.Builder, indent string, conditions []metav1.Condition) {
	for _, c := range conditions {
		fmt.Fprintf(b, "%s%s=%s %s", indent, c.Type, c.Status, c.Reason)
		if wellSaid(c) {
			fmt.Fprintf(b, ": %s", c.Message)
		}
		b.WriteByte('\n')
	}
}

// wellSaid reports whether the message says more than the condition does.
func wellSaid(c metav1.Condition) bool {
	good := c.Status == metav1.ConditionTrue && c.Reason == c.Type ||
		c.Status == metav1.ConditionFalse && c.Reason == string(gatewayv1.ListenerReasonNoConflicts)
	return c.Message != "" && !good
}
