// Package status is what Sluice says of objects in their status field: the
// vocabulary of conditions, their time stamps, and how a status joins its object.
package status

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// Status is the status of one object: the field of the object's kind is set.
// It is never changed once it is made. Its conditions have no
// lastTransitionTime until [Stamp] sets it.
type Status struct {
	GatewayClass *gatewayv1.GatewayClassStatus
	Gateway      *gatewayv1.GatewayStatus
	// Route is the status of routes of all kinds. It has the parents of this
	// controller only.
	Route       *gatewayv1.RouteStatus
	ListenerSet *gatewayv1.ListenerSetStatus
	Backend     *v1alpha1.BackendStatus
	// Policy is the status of policies of all kinds. It has the ancestors of this
	// controller only.
	Policy *gatewayv1.PolicyStatus
}

// Equal reports whether both say the same, time stamps included.
func (s Status) Equal(other Status) bool { return reflect.DeepEqual(s, other) }

// Empty reports whether nothing is said.
func (s Status) Empty() bool { return s == Status{} }

// True is a condition that holds.
func True[T, R ~string](conditionType T, reason R, message string) metav1.Condition {
	return condition(conditionType, metav1.ConditionTrue, reason, message)
}

// False is a condition that does not hold.
func False[T, R ~string](conditionType T, reason R, message string) metav1.Condition {
	return condition(conditionType, metav1.ConditionFalse, reason, message)
}

// Unknown is a condition of which nothing is known yet.
func Unknown[T, R ~string](conditionType T, reason R, message string) metav1.Condition {
	return condition(conditionType, metav1.ConditionUnknown, reason, message)
}

// maxMessage is the most bytes of a condition's message that an API server takes.
const maxMessage = 32768

func condition[T, R ~string](conditionType T, status metav1.ConditionStatus, reason R, message string) metav1.Condition {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	return metav1.Condition{Type: string(conditionType), Status: status, Reason: string(reason), Message: message}
}

// Observed returns the conditions with observedGeneration set.
func Observed(generation int64, conditions ...metav1.Condition) []metav1.Condition {
	for i := range conditions {
		conditions[i].ObservedGeneration = generation
	}
	return conditions
}
