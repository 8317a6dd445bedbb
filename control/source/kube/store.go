package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// store is the objects as the API server showed them last. The snapshot has the
// same objects, not copies, but for statuses that have changed since.
type store struct {
	// seen is called for each object set or removed, in order, while the store is locked.
	seen func(key snapshot.Key, object snapshot.Object, news bool)
	// manager is the one whose applied fields are kept.
	manager string

	mu      sync.Mutex
	objects map[snapshot.Kind]map[snapshot.Key]snapshot.Object
	applied map[snapshot.Key]*metav1.FieldsV1 // the fields that the manager has applied
}

func newStore(manager string, seen func(snapshot.Key, snapshot.Object, bool)) *store {
	return &store{
		seen: seen, manager: manager, objects: map[snapshot.Kind]map[snapshot.Key]snapshot.Object{}, applied: map[snapshot.Key]*metav1.FieldsV1{},
	}
}

func (s *store) get(key snapshot.Key) snapshot.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key.Kind][key]
}

// getApplied is an object and the fields of it that Sluice has applied.
func (s *store) getApplied(key snapshot.Key) (snapshot.Object, *metav1.FieldsV1) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key.Kind][key], s.applied[key]
}

func (s *store) all(k snapshot.Kind) []snapshot.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.objects[k]))
}

// put takes an object as it is now; the lock is held, as it is for remove.
func (s *store) put(k kind, object snapshot.Object) {
	key := keyOf(k, object)
	all := s.objects[k.name]
	if all == nil {
		all = map[snapshot.Key]snapshot.Object{}
		s.objects[k.name] = all
	}
	before := all[key]
	if before != nil && before.GetResourceVersion() == object.GetResourceVersion() && before.GetUID() == object.GetUID() {
		return // listed again
	}
	delete(s.applied, key)
	if fields := takeFields(object, s.manager); fields != nil {
		s.applied[key] = fields
	}
	news := before == nil || !k.spoken || !sameWish(before, object)
	if !news {
		shareWish(before, object)
	}
	all[key] = object
	s.seen(key, object, news)
}

func (s *store) remove(k kind, key snapshot.Key) {
	if _, ok := s.objects[k.name][key]; ok {
		delete(s.objects[k.name], key)
		delete(s.applied, key)
		s.seen(key, nil, true)
	}
}

// replace makes the objects all that there are of the kind.
func (s *store) replace(k kind, objects []snapshot.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := maps.Clone(s.objects[k.name])
	for _, object := range objects {
		delete(gone, keyOf(k, object))
		s.put(k, object)
	}
	for _, key := range slices.SortedFunc(maps.Keys(gone), snapshot.Key.Compare) {
		s.remove(k, key)
	}
}

func keyOf(k kind, object metav1.Object) snapshot.Key {
	return snapshot.Key{Kind: k.name, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// sameWish reports whether two states of an object differ in its status only.
func sameWish(a, b snapshot.Object) bool {
	return a.GetUID() == b.GetUID() &&
		a.GetGeneration() == b.GetGeneration() &&
		a.GetDeletionTimestamp().Equal(b.GetDeletionTimestamp()) &&
		maps.Equal(a.GetLabels(), b.GetLabels()) &&
		maps.Equal(a.GetAnnotations(), b.GetAnnotations())
}

// shareWish has two states of a route that differ in their status only share the
// rest: the snapshot keeps the earlier one, and a cluster has thousands of routes.
func shareWish(before, next snapshot.Object) {
	switch n := next.(type) {
	case *gatewayv1.HTTPRoute:
		if b, ok := before.(*gatewayv1.HTTPRoute); ok {
			n.Labels, n.Annotations, n.Spec = b.Labels, b.Annotations, b.Spec
		}
	case *gatewayv1.GRPCRoute:
		if b, ok := before.(*gatewayv1.GRPCRoute); ok {
			n.Labels, n.Annotations, n.Spec = b.Labels, b.Annotations, b.Spec
		}
	}
}

// clear removes all objects of the kind.
func (s *store) clear(k kind) { s.replace(k, nil) }

// sink takes what a reflector reads of one kind.
type sink struct {
	kind  kind
	store *store
	// replaced is called when all objects are there; after, which may be nil, after
	// each object that is set or removed later.
	replaced func()
	after    func(name string)
}

// Transformer implements cache.TransformingStore, so that a long list is trimmed
// while it arrives.
func (s *sink) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return s.trim(object) }
}

// Add implements cache.ReflectorStore.
func (s *sink) Add(object any) error {
	o, err := s.trim(object)
	if err != nil || !s.wanted(o) {
		return err
	}
	s.store.mu.Lock()
	s.store.put(s.kind, o)
	s.store.mu.Unlock()
	s.tell(o.GetName())
	return nil
}

// Update implements cache.ReflectorStore.
func (s *sink) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s *sink) Delete(object any) error {
	o, ok := object.(snapshot.Object)
	if !ok {
		return fmt.Errorf("a %T is no object of kind %s", object, s.kind.name)
	}
	s.store.mu.Lock()
	s.store.remove(s.kind, keyOf(s.kind, o))
	s.store.mu.Unlock()
	s.tell(o.GetName())
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *sink) Replace(list []any, _ string) error {
	var objects []snapshot.Object
	for _, object := range list {
		o, err := s.trim(object)
		if err != nil {
			return err
		}
		if s.wanted(o) {
			objects = append(objects, o)
		}
	}
	s.store.replace(s.kind, objects)
	s.replaced()
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do again.
func (s *sink) Resync() error { return nil }

func (s *sink) tell(name string) {
	if s.after != nil {
		s.after(name)
	}
}

// wanted leaves out definitions of other groups.
func (s *sink) wanted(o snapshot.Object) bool {
	if s.kind.name != snapshot.KindCustomResourceDefinition {
		return true
	}
	return strings.HasSuffix(o.GetName(), "."+gatewayv1.GroupName) || strings.HasSuffix(o.GetName(), "."+v1alpha1.GroupName)
}

// trim drops what nobody reads: in a large cluster it is most of the memory.
func (s *sink) trim(object any) (snapshot.Object, error) {
	o, ok := object.(snapshot.Object)
	if !ok {
		return nil, fmt.Errorf("a %T is no object of kind %s", object, s.kind.name)
	}
	strip(o, s.store.manager)
	switch o := o.(type) {
	case *discoveryv1.EndpointSlice:
		trimSlice(o)
	case *corev1.Pod:
		o.Spec = corev1.PodSpec{NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork}
		o.Status.ContainerStatuses, o.Status.InitContainerStatuses = nil, nil
	case *metav1.PartialObjectMetadata:
		*o = metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, Annotations: o.Annotations,
		}}
	}
	return o, nil
}

// strip drops the books that the API server and kubectl keep on an object, but for
// what a manager has applied.
func strip(o snapshot.Object, manager string) {
	var kept []metav1.ManagedFieldsEntry
	for _, e := range o.GetManagedFields() {
		if applied(e, manager) {
			kept = append(kept, e)
		}
	}
	o.SetManagedFields(kept)
	if annotations := o.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		if len(annotations) == 0 {
			o.SetAnnotations(nil)
		}
	}
}

// trimSlice keeps the addresses and conditions of the endpoints. In the slices
// that Sluice made itself it keeps all, to see whether they are as they should be.
func trimSlice(slice *discoveryv1.EndpointSlice) {
	if slice.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBySluice {
		return
	}
	kept := make([]discoveryv1.Endpoint, len(slice.Endpoints))
	for i, e := range slice.Endpoints {
		kept[i].Addresses = e.Addresses
		kept[i].Conditions = discoveryv1.EndpointConditions{
			Ready: shared(e.Conditions.Ready), Serving: shared(e.Conditions.Serving), Terminating: shared(e.Conditions.Terminating),
		}
	}
	slice.Endpoints = kept
}

var yes, no = true, false

// shared is a pointer to an equal value. A value of its own would keep alive what
// the allocator put beside it, which is mostly what trimSlice drops.
func shared(b *bool) *bool {
	switch {
	case b == nil:
		return nil
	case *b:
		return &yes
	}
	return &no
}
