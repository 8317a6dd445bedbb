package file

import (
	"encoding/json"
	"reflect"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// coreKind is what an API server does to a new object of a kind of Kubernetes itself.
type coreKind struct {
	// name holds metadata.name to the kind's rule.
	name apivalidation.ValidateNameFunc
	// fill sets the defaults.
	fill func(snapshot.Object)
	// rules are what the kind is held to, once its defaults are set.
	rules func(snapshot.Object) field.ErrorList
}

// core judges an object of a kind of Kubernetes itself, and sets its defaults.
func (t *trial) core(fields map[string]any) {
	apiVersion, _ := fields["apiVersion"].(string)
	if apiVersion != t.kind.apiVersion() {
		t.refuse("apiVersion", "the version "+apiVersion[strings.IndexByte(apiVersion, '/')+1:]+" of "+string(t.kind.Name)+" is not served",
			suggestVersion(t.kind))
		return
	}
	t.cleanMetadata(fields)
	object := t.kind.New()
	if !t.shape(fields, reflect.TypeOf(object), nil) {
		return
	}
	if err := remarshal(fields, object); err != nil {
		t.refuse("", "cannot be decoded: "+strings.TrimPrefix(err.Error(), "json: "), "")
		return
	}
	t.kind.Core.fill(object)
	t.validateMetadata(fields, t.kind.Core.name)
	t.refuseAll(t.kind.Core.rules(object))
	t.replace(fields, object)
}

// replace puts what an object is with its defaults in place of what was written.
func (t *trial) replace(fields map[string]any, object snapshot.Object) {
	clear(fields)
	if err := json.Unmarshal(mustMarshal(object), &fields); err != nil {
		panic(err)
	}
	delete(fields, "status") // a subresource: no one writes it in files
}
