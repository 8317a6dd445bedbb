// Package snapshot holds every object that Sluice reads at one instant. A
// Snapshot is immutable; the next one shares all that did not change with it.
package snapshot

import (
	"cmp"
	"iter"
	"strings"

	"github.com/sluicegateway/sluice/control/snapshot/tree"
)

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(other Key) int {
	return cmp.Or(
		strings.Compare(string(k.Kind), string(other.Kind)),
		strings.Compare(k.Namespace, other.Namespace),
		strings.Compare(k.Name, other.Name),
	)
}

// Snapshot is every object at one instant, with the indexes of index.go. It is
// immutable and may be read by any number of goroutines.
type Snapshot struct {
	objects tree.Map[Key, Object]
	buckets tree.Map[entry, Object]
}

// entry is an object's place in a bucket; the entries of a bucket are neighbours.
type entry struct{ bucket, object Key }

func (e entry) compare(other entry) int {
	return cmp.Or(e.bucket.Compare(other.bucket), e.object.Compare(other.object))
}

// New is the snapshot without objects.
func New() *Snapshot {
	return &Snapshot{
		objects: tree.New[Key, Object](Key.Compare),
		buckets: tree.New[entry, Object](entry.compare),
	}
}

// With returns the snapshot after the changes, made in their order. It costs
// what the changes cost, whatever the size of the snapshot.
func (s *Snapshot) With(changes []Change) *Snapshot {
	next := Snapshot{objects: s.objects.Edit(), buckets: s.buckets.Edit()}
	for _, change := range changes {
		next.remove(change.Key)
		if change.Object != nil {
			next.add(change.Key, change.Object)
		}
	}
	return &next
}

func (s *Snapshot) add(key Key, object Object) {
	s.objects = s.objects.Set(key, object)
	for _, bucket := range Buckets(object) {
		s.buckets = s.buckets.Set(entry{bucket, key}, object)
	}
}

func (s *Snapshot) remove(key Key) {
	object, ok := s.objects.Get(key)
	if !ok {
		return
	}
	s.objects = s.objects.Delete(key)
	for _, bucket := range Buckets(object) {
		s.buckets = s.buckets.Delete(entry{bucket, key})
	}
}

// Len is the number of objects.
func (s *Snapshot) Len() int { return s.objects.Len() }

// All yields all objects, ordered by key.
func (s *Snapshot) All() iter.Seq2[Key, Object] { return s.objects.All() }

// Object returns one object, or nil.
func (s *Snapshot) Object(key Key) Object {
	object, _ := s.objects.Get(key)
	return object
}

// Bucket yields the objects of a bucket, ordered by key.
func (s *Snapshot) Bucket(bucket Key) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for at, object := range s.buckets.From(entry{bucket: bucket}) {
			if at.bucket != bucket || !yield(object) {
				return
			}
		}
	}
}

// Reader reads single objects and buckets. A Snapshot is one; the translator
// has another that records what was read.
type Reader interface {
	Object(Key) Object
	Bucket(Key) iter.Seq[Object]
}

// Get reads the object of T's kind with that name. It is nil if there is none.
// The namespace of a cluster-scoped object is empty.
func Get[T Object](r Reader, namespace, name string) T {
	var none T
	object, ok := r.Object(Key{Kind: KindOf(none), Namespace: namespace, Name: name}).(T)
	if !ok {
		return none
	}
	return object
}

// Each yields the objects of type T of a bucket, ordered by key.
func Each[T Object](r Reader, bucket Key) iter.Seq[T] {
	return func(yield func(T) bool) {
		for object := range r.Bucket(bucket) {
			if typed, ok := object.(T); ok && !yield(typed) {
				return
			}
		}
	}
}

// Of yields all objects of T's kind, ordered by namespace and name.
func Of[T Object](s *Snapshot) iter.Seq[T] {
	return func(yield func(T) bool) {
		var none T
		kind := KindOf(none)
		for key, object := range s.objects.From(Key{Kind: kind}) {
			typed, ok := object.(T)
			if key.Kind != kind || !ok || !yield(typed) {
				return
			}
		}
	}
}
