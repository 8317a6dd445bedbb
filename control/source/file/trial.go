package file

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// trial is the validation of one object.
type trial struct {
	place
	kind    *kind
	refused bool
}

// refuse reports an error at a field's value.
func (t *trial) refuse(path, message, fix string) {
	t.refused = true
	t.about(diagnostic.Error, path, message, fix)
}

// refuseAll reports what a validator of Kubernetes found.
func (t *trial) refuseAll(errs field.ErrorList) {
	for _, err := range errs {
		if t.refused = true; t.full() {
			return
		}
		_, node, complete := find(t.node, err.Field)
		if !complete {
			node = nil
		}
		t.refuse(err.Field, describe(err), fixFor(err, node))
	}
}

// refuseField reports an unknown field, at its name.
func (t *trial) refuseField(path, fix string) {
	if t.refused = true; t.full() {
		return
	}
	at, value, _ := find(t.node, path)
	if at == nil {
		at = value
	}
	t.report(diagnostic.Diagnostic{
		Severity: diagnostic.Error, Line: at.Line, Column: at.Column, Object: t.key,
		Field: path, Message: "unknown field " + quote(lastElement(path)), Fix: fix,
	})
}

// cleanMetadata removes what only an API server sets, and sets the namespace. An
// object that has a name has metadata.
func (t *trial) cleanMetadata(fields map[string]any) {
	metadata := fields["metadata"].(map[string]any)
	for _, name := range serverFields {
		delete(metadata, name)
	}
	if _, isText := metadata["namespace"].(string); isText || metadata["namespace"] == nil {
		delete(metadata, "namespace")
		if t.kind.Namespaced {
			metadata["namespace"] = t.key.Namespace
		}
	}
}

// serverFields are the fields of metadata that an API server sets and no one else.
// They stand in files that were written by kubectl get.
var serverFields = []string{
	"resourceVersion", "uid", "generation", "managedFields", "selfLink",
	"deletionTimestamp", "deletionGracePeriodSeconds",
}

// validateMetadata holds metadata of the right shape to its rules.
func (t *trial) validateMetadata(fields map[string]any, name apivalidation.ValidateNameFunc) {
	path := field.NewPath("metadata")
	var meta metav1.ObjectMeta
	if err := remarshal(fields["metadata"], &meta); err != nil {
		t.refuse(path.String(), "cannot be decoded: "+err.Error(), "")
		return
	}
	errs := apivalidation.ValidateObjectMeta(&meta, t.kind.Namespaced, name, path)
	// Labels and annotations are validated in the order of a map, which is any.
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	t.refuseAll(errs)
}

// plain is the text of an unquoted scalar.
func plain(node *yaml.Node) (text string, ok bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return "", false
	}
	return node.Value, true
}
