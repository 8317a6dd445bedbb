package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// write is a request that creates, replaces, patches or deletes an object. Who owns
// which field is kept by the API server's own code.
func (a answer) write(verb string, key snapshot.Key, part string, content []byte) {
	if verb == "patch" && a.r.Context().Err() != nil {
		return // the client is gone; other writes may come late
	}
	a.server.writing.Lock()
	defer a.server.writing.Unlock()
	a.server.mu.Lock()
	before := a.server.objects[key]
	a.server.mu.Unlock()
	w := write{answer: a, key: key, part: part, content: content, before: before}
	var after snapshot.Object
	var err error
	switch verb {
	case "post":
		after, err = w.create()
	case "put":
		after, err = w.replace()
	case "delete":
		err = w.delete()
	case "patch":
		after, err = w.patch()
	}
	var refusal *apierrors.StatusError
	switch {
	case err == nil && after != nil:
		after = a.server.save(after)
		_, _ = a.w.Write(a.encode(after, a.begin(false)))
	case err == nil:
		_ = json.NewEncoder(a.w).Encode(metav1.Status{Status: metav1.StatusSuccess})
	case asStatus(err, &refusal):
		a.w.Header().Set("Content-Type", "application/json")
		a.w.WriteHeader(int(refusal.ErrStatus.Code))
		status := refusal.Status()
		status.Kind, status.APIVersion = "Status", "v1"
		_ = json.NewEncoder(a.w).Encode(status)
	default:
		panic(fmt.Sprintf("%s %s: %v", verb, key, err))
	}
}

func asStatus(err error, status **apierrors.StatusError) (ok bool) {
	*status, ok = err.(*apierrors.StatusError)
	return ok
}

// send has the server answer a request that comes from nobody's client.
func (s *apiServer) send(t *testing.T, method string, key snapshot.Key, contentType, rest, content string) {
	t.Helper()
	path := paths[key.Kind]
	if key.Namespace != "" {
		at := strings.LastIndex(path, "/")
		path = path[:at] + "/namespaces/" + key.Namespace + path[at:]
	}
	r := httptest.NewRequest(method, path+"/"+key.Name+rest, strings.NewReader(content))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, key, w.Code, w.Body)
	}
}

// save keeps an object, as a new version if it is not what there is already.
func (s *apiServer) save(object snapshot.Object) snapshot.Object {
	key := snapshot.KeyOf(object)
	s.mu.Lock()
	before := s.objects[key]
	s.mu.Unlock()
	if before == nil || !sameBut(before, object) {
		s.put(object)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

// sameBut compares two objects, but for the times in which fields were written.
func sameBut(a, b snapshot.Object) bool {
	var plain [2]map[string]any
	for i, o := range []snapshot.Object{a, b} {
		o = o.DeepCopyObject().(snapshot.Object)
		fields := o.GetManagedFields()
		for i := range fields {
			fields[i].Time = nil
		}
		o.SetManagedFields(fields)
		text, err := json.Marshal(o)
		if err != nil || json.Unmarshal(text, &plain[i]) != nil {
			panic(err)
		}
		delete(plain[i], "kind")
		delete(plain[i], "apiVersion")
	}
	return reflect.DeepEqual(plain[0], plain[1])
}

// write is one that goes on.
type write struct {
	answer
	key     snapshot.Key
	part    string
	content []byte
	before  snapshot.Object // nil if there is none
}

func (w write) resource() schema.GroupResource {
	return schema.GroupResource{Resource: strings.ToLower(string(w.key.Kind)) + "s"}
}

func (w write) conflict(why string) error {
	return apierrors.NewConflict(w.resource(), w.key.Name, fmt.Errorf("%s", why))
}

func (w write) notFound() error { return apierrors.NewNotFound(w.resource(), w.key.Name) }

func (w write) decode() snapshot.Object {
	object, _, err := w.server.codecs.UniversalDeserializer().Decode(w.content, nil, nil)
	if err != nil {
		panic(err)
	}
	return object.(snapshot.Object)
}

func (w write) create() (snapshot.Object, error) {
	object := w.decode()
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if w.server.objects[snapshot.KeyOf(object)] != nil {
		return nil, apierrors.NewAlreadyExists(w.resource(), object.GetName())
	}
	return object, nil
}

func (w write) replace() (snapshot.Object, error) {
	object := w.decode()
	switch {
	case w.before == nil:
		return nil, w.notFound()
	case object.GetResourceVersion() != w.before.GetResourceVersion():
		return nil, w.conflict("the object has been modified")
	}
	return object, nil
}

func (w write) delete() error {
	options := &metav1.DeleteOptions{}
	if err := runtime.DecodeInto(w.server.codecs.UniversalDeserializer(), w.content, options); err != nil {
		panic(err)
	}
	switch p := options.Preconditions; {
	case w.before == nil:
		return w.notFound()
	case p != nil && p.UID != nil && *p.UID != w.before.GetUID():
		return w.conflict("the UID is another")
	case p != nil && p.ResourceVersion != nil && *p.ResourceVersion != w.before.GetResourceVersion():
		return w.conflict("the resourceVersion is another")
	case len(w.before.GetFinalizers()) > 0:
		leaving := w.before.DeepCopyObject().(snapshot.Object)
		now := metav1.Now()
		leaving.SetDeletionTimestamp(&now)
		w.server.put(leaving)
	default:
		w.server.remove(w.key)
	}
	return nil
}

func (w write) patch() (snapshot.Object, error) {
	manager := w.r.URL.Query().Get("fieldManager")
	before := w.before
	if before == nil {
		if w.part != "" || strings.Contains(w.r.Header.Get("Content-Type"), "json-patch") {
			return nil, w.notFound()
		}
		empty, err := w.server.scheme.New(w.kindVersion())
		if err != nil {
			panic(err)
		}
		before = empty.(snapshot.Object)
	}
	before = before.DeepCopyObject().(snapshot.Object)
	before.GetObjectKind().SetGroupVersionKind(w.kindVersion())
	fields := w.fieldManager()
	if strings.Contains(w.r.Header.Get("Content-Type"), "json-patch") {
		after, err := w.edit(before)
		if err != nil {
			return nil, err
		}
		return fields.UpdateNoErrors(before, after, manager).(snapshot.Object), nil
	}
	applied := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(w.content, &applied.Object); err != nil {
		panic(err)
	}
	after, err := fields.Apply(before, applied, manager, w.r.URL.Query().Get("force") == "true")
	if err != nil {
		return nil, err
	}
	object := after.(snapshot.Object)
	if object.GetName() != w.key.Name {
		return nil, apierrors.NewBadRequest("the name of the object does not match the name on the URL")
	}
	object.SetNamespace(w.key.Namespace)
	return object, nil
}

func (w write) kindVersion() schema.GroupVersionKind {
	return w.version().WithKind(string(w.key.Kind))
}

func (w write) fieldManager() *managedfields.FieldManager {
	fields, err := managedfields.NewDefaultFieldManager(converter{}, w.server.scheme, w.server.scheme, w.server.scheme,
		w.kindVersion(), w.version(), w.part, nil)
	if err != nil {
		panic(err)
	}
	return fields
}

// converter tells the API server's code how objects are made, by one schema for all.
type converter struct{}

// ObjectToTyped implements managedfields.TypeConverter.
func (converter) ObjectToTyped(object runtime.Object, _ ...typed.ValidationOptions) (*typed.TypedValue, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	return parser.Type("object").FromUnstructured(content)
}

// TypedToObject implements managedfields.TypeConverter.
func (converter) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	return &unstructured.Unstructured{Object: value.AsValue().Unstructured().(map[string]any)}, nil
}

// parser knows the lists whose elements have keys in the real schemas. All other
// lists are written as one, and all other maps field by field.
var parser = func() *typed.Parser {
	p, err := typed.NewParser(`types:
- name: object
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: spec}}
    - {name: status, type: {namedType: status}}
    elementType: {namedType: any}
- name: metadata
  map:
    fields:
    - {name: ownerReferences, type: {list: {elementType: {namedType: atom}, elementRelationship: associative, keys: [uid]}}}
    elementType: {namedType: any}
- name: spec
  map:
    fields:
    - {name: ports, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [port, protocol]}}}
    elementType: {namedType: any}
- name: status
  map:
    fields:
    - {name: conditions, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [type]}}}
    - {name: listeners, type: {list: {elementType: {namedType: status}, elementRelationship: associative, keys: [name]}}}
    - {name: supportedFeatures, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}}
    elementType: {namedType: any}
- name: any
  scalar: untyped
  list: {elementType: {namedType: atom}, elementRelationship: atomic}
  map: {elementType: {namedType: any}, elementRelationship: separable}
- name: atom
  scalar: untyped
  list: {elementType: {namedType: atom}, elementRelationship: atomic}
  map: {elementType: {namedType: atom}, elementRelationship: atomic}
`)
	if err != nil {
		panic(err)
	}
	return p
}()

// edit makes a JSON patch (RFC 6902) of adding, replacing and removing.
func (w write) edit(before snapshot.Object) (snapshot.Object, error) {
	var operations []kube.Operation
	text, err := json.Marshal(before)
	if err != nil || json.Unmarshal(w.content, &operations) != nil {
		panic(err)
	}
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		panic(err)
	}
	for _, o := range operations {
		var ok bool
		if root, ok = edited(root, strings.Split(o.Path, "/")[1:], o); !ok {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "", 0, false)
		}
	}
	after := reflect.New(reflect.TypeOf(before).Elem()).Interface().(snapshot.Object)
	if text, err = json.Marshal(root); err != nil || json.Unmarshal(text, after) != nil {
		panic(err)
	}
	if after.GetResourceVersion() != before.GetResourceVersion() {
		return nil, w.conflict("the object has been modified")
	}
	return after, nil
}

// edited is the value with one operation done at a path in it.
func edited(value any, path []string, o kube.Operation) (any, bool) {
	name, last := path[0], len(path) == 1
	switch value := value.(type) {
	case map[string]any:
		inner, ok := value[name]
		switch {
		case last && o.Op == "remove":
			delete(value, name)
		case last:
			value[name] = o.Value
		case ok:
			value[name], ok = edited(inner, path[1:], o)
		}
		return value, ok || last && o.Op != "remove"
	case []any:
		at, err := strconv.Atoi(name)
		switch {
		case last && o.Op == "add" && name == "-":
			return append(value, o.Value), true
		case err != nil || at >= len(value):
			return value, false
		case last && o.Op == "remove":
			return slices.Delete(value, at, at+1), true
		case last && o.Op == "add":
			return slices.Insert(value, at, o.Value), true
		case last:
			value[at] = o.Value
			return value, true
		}
		var ok bool
		value[at], ok = edited(value[at], path[1:], o)
		return value, ok
	}
	return value, false
}
