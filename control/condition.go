package control

import (
	"fmt"
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/status"
)

// Condition is one condition of a status and where in it the condition stands.
type Condition struct {
	metav1.Condition
	// Part is "listener http", "parent Gateway shop/http", "ancestor Gateway
	// default/shop", or empty for the object itself.
	Part string
}

// Fine reports whether the condition says that all is well. That hostnames of
// HTTPS listeners overlap is only a notice: a general and a specific one are
// often meant to stand beside each other. So is that a Gateway lets clients in
// without a certificate as it was told to.
func (c Condition) Fine() bool {
	switch c.Type {
	case string(gatewayv1.ListenerConditionOverlappingTLSConfig),
		string(gatewayv1.GatewayConditionInsecureFrontendValidationMode):
		return true
	}
	return c.Status == metav1.ConditionTrue != negative(c.Type) && c.Status != metav1.ConditionUnknown
}

// negative reports whether the condition is one that should not hold. The
// others of the Gateway API should.
func negative(conditionType string) bool {
	switch conditionType {
	case string(gatewayv1.ListenerConditionConflicted),
		string(gatewayv1.RouteConditionPartiallyInvalid):
		return true
	}
	return false
}

// Conditions yields the conditions of a status, those of the object first.
func Conditions(s status.Status) iter.Seq[Condition] {
	return func(yield func(Condition) bool) {
		for _, group := range groups(s) {
			for _, c := range group.conditions {
				if !yield(Condition{Condition: c, Part: group.part}) {
					return
				}
			}
		}
	}
}

type group struct {
	part       string
	conditions []metav1.Condition
}

func groups(s status.Status) []group {
	switch {
	case s.GatewayClass != nil:
		return []group{{"", s.GatewayClass.Conditions}}
	case s.Gateway != nil:
		all := []group{{"", s.Gateway.Conditions}}
		for _, l := range s.Gateway.Listeners {
			all = append(all, group{"listener " + string(l.Name), l.Conditions})
		}
		return all
	case s.ListenerSet != nil:
		all := []group{{"", s.ListenerSet.Conditions}}
		for _, l := range s.ListenerSet.Listeners {
			all = append(all, group{"listener " + string(l.Name), l.Conditions})
		}
		return all
	case s.Route != nil:
		var all []group
		for _, p := range s.Route.Parents {
			all = append(all, group{"parent " + ParentName(p.ParentRef), p.Conditions})
		}
		return all
	case s.Backend != nil:
		return []group{{"", s.Backend.Conditions}}
	case s.Policy != nil:
		var all []group
		for _, a := range s.Policy.Ancestors {
			all = append(all, group{"ancestor " + ParentName(a.AncestorRef), a.Conditions})
		}
		return all
	}
	return nil
}

// ParentName is a parentRef in short: "Gateway infra/shared/https", where the
// namespace and the section are only there if the reference has them.
func ParentName(ref gatewayv1.ParentReference) string {
	name := string(ref.Name)
	if ref.Namespace != nil {
		name = string(*ref.Namespace) + "/" + name
	}
	if ref.SectionName != nil {
		name += "/" + string(*ref.SectionName)
	}
	if ref.Port != nil {
		name = fmt.Sprintf("%s:%d", name, *ref.Port)
	}
	if ref.Kind != nil {
		name = string(*ref.Kind) + " " + name
	}
	return name
}
