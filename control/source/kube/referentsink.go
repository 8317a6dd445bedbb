package kube

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// referentSink takes what a reflector reads of Secrets or ConfigMaps, and keeps nothing
// of it: a cluster may have thousands to which nothing refers.
type referentSink struct {
	kind   kind
	reader *referentReader
	listed func()
}

// Add implements cache.ReflectorStore.
func (s referentSink) Add(object any) error {
	o, err := meta.Accessor(object)
	if err == nil {
		s.reader.changed(keyOf(s.kind, o))
	}
	return err
}

// Update implements cache.ReflectorStore.
func (s referentSink) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s referentSink) Delete(object any) error { return s.Add(object) }

// Replace implements cache.ReflectorStore.
func (s referentSink) Replace(list []any, _ string) error {
	versions := make(map[snapshot.Key]string, len(list))
	for _, object := range list {
		o, err := meta.Accessor(object)
		if err != nil {
			return err
		}
		versions[keyOf(s.kind, o)] = o.GetResourceVersion()
	}
	s.reader.listed(s.kind.name, versions)
	s.listed()
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do again.
func (s referentSink) Resync() error { return nil }

// Transformer implements cache.TransformingStore, so that a long list is small
// while it arrives.
func (s referentSink) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		o, err := meta.Accessor(object)
		if err != nil {
			return nil, err
		}
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: o.GetNamespace(), Name: o.GetName(), ResourceVersion: o.GetResourceVersion(),
		}}, nil
	}
}
