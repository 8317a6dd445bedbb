package file

import (
	"context"

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
		_, node, complete := find(t.node, err.Field)
		if !complete {
			node = nil
		}
		t.refuse(err.Field, describe(err), fixFor(err, node))
	}
}

// refuseField reports an unknown field, at its name.
func (t *trial) refuseField(path, fix string) {
	t.refused = true
	key, value, _ := find(t.node, path)
	at := key
	if at == nil {
		at = value
	}
	t.report(diagnostic.Diagnostic{
		Severity: diagnostic.Error, Line: at.Line, Column: at.Column, Object: t.key,
		Field: path, Message: "unknown field " + quote(lastElement(path)), Fix: fix,
	})
}

// metadata judges and cleans an object's metadata, and returns what it says; false
// if it cannot be read.
func (t *trial) metadata(fields map[string]any) (*metav1.ObjectMeta, bool) {
	path := field.NewPath("metadata")
	raw, _ := fields["metadata"].(map[string]any)
	for _, name := range serverFields {
		delete(raw, name)
	}
	if !t.shape(raw, typeOf[metav1.ObjectMeta](), path) {
		return nil, false
	}
	delete(raw, "namespace")
	if t.kind.Namespaced {
		raw["namespace"] = t.key.Namespace
	}
	var meta metav1.ObjectMeta
	if err := remarshal(raw, &meta); err != nil {
		t.refuse("metadata", err.Error(), "")
		return nil, false
	}
	return &meta, true
}

// serverFields are the fields of metadata that an API server sets and no one else.
// They stand in files that were written by kubectl get.
var serverFields = []string{
	"resourceVersion", "uid", "generation", "managedFields", "selfLink",
	"deletionTimestamp", "deletionGracePeriodSeconds",
}

func (t *trial) validateMetadata(meta *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	t.refuseAll(apivalidation.ValidateObjectMeta(meta, t.kind.Namespaced, name, field.NewPath("metadata")))
}

// plain is the text of an unquoted scalar.
func plain(node *yaml.Node) (text string, ok bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return "", false
	}
	return node.Value, true
}

// background is the context of validators, none of which waits for anything.
var background = context.Background()
