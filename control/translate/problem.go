package translate

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// problem is why a part of an object is not served as it is written. It becomes
// a part of a condition and a diagnostic.
type problem struct {
	// reason is the condition's.
	reason string
	// field is the path in the object: spec.rules[0].backendRefs[1].
	field   string
	message string
	// fix says what to do.
	fix string
}

// failed is the condition that the problems make false: with the reason of the
// first and the messages of all.
func failed[T ~string](conditionType T, problems []problem) metav1.Condition {
	return status.False(conditionType, problems[0].reason, messages(problems))
}

func messages(problems []problem) string {
	var b strings.Builder
	for i, p := range problems {
		if i > 0 {
			b.WriteString("; ")
		}
		if p.field != "" {
			b.WriteString(strings.TrimPrefix(p.field, "spec."))
			b.WriteString(": ")
		}
		b.WriteString(p.message)
	}
	return b.String()
}

// findings are the problems as errors about an object.
func findings(object snapshot.Key, problems []problem) []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	for _, p := range problems {
		found = append(found, p.finding(object, diagnostic.Error))
	}
	return found
}

func (p problem) finding(object snapshot.Key, severity diagnostic.Severity) diagnostic.Diagnostic {
	return diagnostic.Diagnostic{
		Severity: severity,
		Object:   object,
		Field:    p.field,
		Message:  p.message,
		Fix:      p.fix,
	}
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
