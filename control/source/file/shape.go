package file

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// shape holds a value to a Go type of the Kubernetes API, as strict decoding into it
// would, but tells every mistake with its path. It is true if decoding will succeed.
func (t *trial) shape(value any, want reflect.Type, path *field.Path) bool {
	if value == nil {
		return true
	}
	if want.Kind() == reflect.Pointer {
		return t.shape(value, want.Elem(), path)
	}
	if reflect.PointerTo(want).Implements(unmarshaler) {
		return t.shapeOwn(value, want, path)
	}
	switch want.Kind() {
	case reflect.Struct:
		return t.shapeStruct(value, want, path)
	case reflect.Map:
		return t.shapeMap(value, want, path)
	case reflect.Slice:
		return t.shapeSlice(value, want, path)
	case reflect.Interface:
		return true
	default:
		return t.shapeScalar(value, want, path)
	}
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (t *trial) mismatch(value any, want string, path *field.Path) bool {
	if t.refused = true; t.full() {
		return false
	}
	_, node, _ := find(t.node, path.String())
	fix := fixType(want, node)
	if want == "a string" && fix != "" && t.key.Kind == snapshot.KindSecret {
		fix = "quote it" // the value is nobody's to read
	}
	t.refuse(path.String(), fmt.Sprintf("must be %s, not %s", want, aKind(value)), fix)
	return false
}

// shapeOwn judges types that decode themselves, such as times and quantities.
func (t *trial) shapeOwn(value any, want reflect.Type, path *field.Path) bool {
	if err := remarshal(value, reflect.New(want).Interface()); err != nil {
		t.refuse(path.String(), "is no "+want.Name()+": "+strings.TrimPrefix(err.Error(), "json: "), "")
		return false
	}
	return true
}

func (t *trial) shapeStruct(value any, want reflect.Type, path *field.Path) bool {
	fields, ok := value.(map[string]any)
	if !ok {
		return t.mismatch(value, "an object", path)
	}
	known := fieldsOf(want)
	good := true
	for name, child := range sorted(fields) {
		childPath := path.Child(name)
		if fieldType, ok := known[name]; !ok {
			t.refuseField(childPath.String(), didYouMean(name, maps.Keys(known)))
			delete(fields, name)
		} else if !t.shape(child, fieldType, childPath) {
			good = false
		}
	}
	return good
}

func (t *trial) shapeMap(value any, want reflect.Type, path *field.Path) bool {
	fields, ok := value.(map[string]any)
	if !ok {
		return t.mismatch(value, "an object", path)
	}
	good := true
	for name, child := range sorted(fields) {
		if child == nil && want.Elem().Kind() == reflect.String {
			fields[name] = "" // as decoding into a Go map does
		}
		good = t.shape(child, want.Elem(), path.Key(name)) && good
	}
	return good
}

func (t *trial) shapeSlice(value any, want reflect.Type, path *field.Path) bool {
	if want.Elem().Kind() == reflect.Uint8 {
		return t.shapeBytes(value, path)
	}
	items, ok := value.([]any)
	if !ok {
		return t.mismatch(value, "a list", path)
	}
	good := true
	for i, item := range items {
		good = t.shape(item, want.Elem(), path.Index(i)) && good
	}
	return good
}

// shapeBytes never shows the value: it may be a secret.
func (t *trial) shapeBytes(value any, path *field.Path) bool {
	text, ok := value.(string)
	if !ok {
		return t.mismatch(value, "a string of base64", path)
	}
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		t.refuse(path.String(), "must be base64: "+err.Error(), "encode it (base64 -w0), or write plain text under stringData in a Secret")
		return false
	}
	return true
}

func (t *trial) shapeScalar(value any, want reflect.Type, path *field.Path) bool {
	switch want.Kind() {
	case reflect.String:
		if _, ok := value.(string); !ok {
			return t.mismatch(value, "a string", path)
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return t.mismatch(value, "a boolean", path)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, ok := value.(int64)
		if !ok {
			return t.mismatch(value, "an integer", path)
		}
		if reflect.Zero(want).OverflowInt(number) {
			t.refuse(path.String(), fmt.Sprintf("%d does not fit in %d bits", number, want.Bits()), "")
			return false
		}
	}
	return true
}

// fieldTypes caches fieldsOf.
var fieldTypes sync.Map

// fieldsOf are the fields of a struct by their names in JSON.
func fieldsOf(want reflect.Type) map[string]reflect.Type {
	if cached, ok := fieldTypes.Load(want); ok {
		return cached.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(want) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			fields[name] = f.Type
		}
	}
	fieldTypes.Store(want, fields)
	return fields
}

// remarshal decodes a value into what into points to.
func remarshal(value, into any) error {
	return json.Unmarshal(mustMarshal(value), into)
}

// sorted goes through a map in the order of its keys, so that what is told about it
// is always told in the same order.
func sorted(fields map[string]any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, name := range sortedKeys(fields) {
			if !yield(name, fields[name]) {
				return
			}
		}
	}
}
