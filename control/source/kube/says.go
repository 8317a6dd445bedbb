package kube

import (
	"encoding/json"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// content is a part of an object as JSON has it.
type content = map[string]any

// contentOf is a value as JSON has it, without what is null.
func contentOf(value any) (content, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var c content
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	dropNulls(c)
	return c, nil
}

func dropNulls(value any) {
	switch value := value.(type) {
	case content:
		for name, v := range value {
			if dropNulls(v); v == nil {
				delete(value, name)
			}
		}
	case []any:
		for _, v := range value {
			dropNulls(v)
		}
	}
}

// says reports whether an object has all that is wanted, and nothing that Sluice
// applied once and does not want any more. What others have written is not compared.
func says(want, have content, record *metav1.FieldsV1) bool {
	want, have = keyed("", want).(content), keyed("", have).(content)
	if !within("", want, have) {
		return false
	}
	var fields content
	if record != nil && json.Unmarshal(record.GetRawBytes(), &fields) != nil {
		return false
	}
	return !beyond(fields, want)
}

// elementKeys are the fields by which the API server tells the elements of a list
// apart. Lists of other names are compared in their order.
var elementKeys = map[string]string{
	"conditions": "type", "listeners": "name", "supportedFeatures": "name", "ownerReferences": "uid",
}

// keyed makes maps of lists whose elements have keys.
func keyed(name string, value any) any {
	switch value := value.(type) {
	case content:
		all := content{}
		for name, v := range value {
			all[name] = keyed(name, v)
		}
		return all
	case []any:
		key, ok := elementKeys[name]
		if !ok {
			return value
		}
		all := content{}
		for _, v := range value {
			element, _ := v.(content)
			id, _ := element[key].(string)
			all[id] = keyed("", v)
		}
		return all
	}
	return value
}

// within reports whether all that is wanted is there. Endpoints belong to who
// wrote them, all of them and as they are.
func within(name string, want, have any) bool {
	switch want := want.(type) {
	case content:
		have, _ := have.(content)
		for name, value := range want {
			if !within(name, value, have[name]) {
				return false
			}
		}
		return true
	case []any:
		have, _ := have.([]any)
		if len(have) != len(want) || name == "endpoints" && !reflect.DeepEqual(want, have) {
			return false
		}
		for i := range want {
			if !within("", want[i], have[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, have)
}

// beyond reports whether there is a field or an element that is not wanted among
// those that were applied, in the form of metadata.managedFields: "f:NAME" is a
// field, "k:{KEY:VALUE}" the element of a list with that key.
func beyond(fields content, want any) bool {
	wanted, ok := want.(content)
	if !ok {
		return false // a value, or a list that is compared in its order
	}
	for path, below := range fields {
		name, isField := strings.CutPrefix(path, "f:")
		if element, ok := strings.CutPrefix(path, "k:"); ok {
			name = elementID(element)
		} else if !isField {
			continue
		}
		value, ok := wanted[name]
		if !ok {
			return true
		}
		if below, _ := below.(content); beyond(below, value) {
			return true
		}
	}
	return false
}

// elementID is the value of a key, which is an object with one field.
func elementID(key string) string {
	var fields map[string]string
	_ = json.Unmarshal([]byte(key), &fields)
	for _, value := range fields {
		return value
	}
	return ""
}

// takeFields takes from an object the record of the fields that a manager has applied;
// nil if there are none.
func takeFields(object snapshot.Object, manager string) (fields *metav1.FieldsV1) {
	for _, entry := range object.GetManagedFields() {
		if applied(entry, manager) {
			fields = entry.FieldsV1
		}
	}
	object.SetManagedFields(nil)
	return fields
}

func applied(e metav1.ManagedFieldsEntry, manager string) bool {
	return e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply
}
