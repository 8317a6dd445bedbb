package status

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Stamp returns next with lastTransitionTime set in every condition: the time
// in previous where the condition's status is the same, else now. Neither
// argument is changed.
func Stamp(previous, next Status, now time.Time) Status {
	next = next.copy()
	old := previous.conditions()
	for place, conditions := range next.conditions() {
		for i := range conditions {
			conditions[i].LastTransitionTime = transition(old[place], conditions[i], now)
		}
	}
	return next
}

func transition(old []metav1.Condition, next metav1.Condition, now time.Time) metav1.Time {
	before := meta.FindStatusCondition(old, next.Type)
	if before != nil && before.Status == next.Status && !before.LastTransitionTime.IsZero() {
		return before.LastTransitionTime
	}
	// The API keeps whole seconds.
	return metav1.NewTime(now.Truncate(time.Second))
}

func (s Status) copy() Status {
	return Status{
		GatewayClass: s.GatewayClass.DeepCopy(),
		Gateway:      s.Gateway.DeepCopy(),
		Route:        s.Route.DeepCopy(),
		ListenerSet:  s.ListenerSet.DeepCopy(),
		Backend:      s.Backend.DeepCopy(),
		Policy:       s.Policy.DeepCopy(),
	}
}

// place is where in a status a list of conditions stands.
type place struct {
	// section is the listener's name, for a listener's conditions.
	section gatewayv1.SectionName
	// parent is a route's, or the ancestor of a policy.
	parent parent
}

// parent is a ParentReference without pointers.
type parent struct {
	group, kind, namespace, name, section string
	port                                  gatewayv1.PortNumber
}

func (s Status) conditions() map[place][]metav1.Condition {
	all := map[place][]metav1.Condition{}
	switch {
	case s.GatewayClass != nil:
		all[place{}] = s.GatewayClass.Conditions
	case s.Gateway != nil:
		all[place{}] = s.Gateway.Conditions
		for _, l := range s.Gateway.Listeners {
			all[place{section: l.Name}] = l.Conditions
		}
	case s.ListenerSet != nil:
		all[place{}] = s.ListenerSet.Conditions
		for _, l := range s.ListenerSet.Listeners {
			all[place{section: l.Name}] = l.Conditions
		}
	case s.Backend != nil:
		all[place{}] = s.Backend.Conditions
	case s.Route != nil:
		for _, p := range s.Route.Parents {
			all[place{parent: parentOf(p.ParentRef)}] = p.Conditions
		}
	case s.Policy != nil:
		for _, a := range s.Policy.Ancestors {
			all[place{parent: parentOf(a.AncestorRef)}] = a.Conditions
		}
	}
	return all
}

func parentOf(ref gatewayv1.ParentReference) parent {
	return parent{
		group:     string(deref(ref.Group)),
		kind:      string(deref(ref.Kind)),
		namespace: string(deref(ref.Namespace)),
		name:      string(ref.Name),
		section:   string(deref(ref.SectionName)),
		port:      deref(ref.Port),
	}
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
