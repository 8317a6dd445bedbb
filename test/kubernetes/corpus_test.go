package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/source/file"
)

// stricter are the documents of the corpus that this API server refuses and
// `sluice run` takes, or the other way round, by their archive and name; and why.
var stricter = map[string]string{
	"endpointslice.txtar: EndpointSlice a": "no cluster has endpoints on loopback; backends of sluice run are often there",
	"service.txtar: Service balanced":      "its cluster IPs are of no range of this cluster",
	"metadata.txtar: HTTPRoute a":          "its namespace is a number, and the test puts its own in place of it",
}

// TestRules holds that `sluice run` takes what an API server takes and refuses
// what it refuses: each document of the corpus that the file source is tested
// with is offered to both.
func TestRules(t *testing.T) {
	c := newCluster(t)
	mapper := restmapper.NewDiscoveryRESTMapper(must(restmapper.GetAPIGroupResources(c.core.Discovery()))(t))
	documents, unknown := 0, maps.Clone(stricter)
	for _, path := range must(filepath.Glob(filepath.Join(repository(), "control/source/file/testdata/c*/*.txtar")))(t) { // core, custom
		for _, document := range readDocuments(t, path) {
			documents++
			name := fmt.Sprintf("%s: %s %s", filepath.Base(path), document.GetKind(), document.GetName())
			server, local := c.offer(mapper, document), loadAlone(t, document)
			_, known := stricter[name]
			delete(unknown, name)
			if differ := (server == nil) != (local == nil); differ != known {
				t.Errorf("%s\n\tthe API server says: %v\n\tsluice run says: %v", name, server, local)
			}
		}
	}
	t.Logf("%d documents", documents)
	for name := range unknown {
		t.Errorf("the corpus has no %s", name)
	}
}

// document is one of an archive's.
type document struct {
	*unstructured.Unstructured
	text []byte
}

// readDocuments are the YAML documents of an archive that name a kind and an object.
func readDocuments(t *testing.T, path string) []document {
	archive := must(txtar.ParseFile(path))(t)
	var all []document
	for _, f := range archive.Files {
		if filepath.Ext(f.Name) != ".yaml" {
			continue
		}
		for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(f.Data))); ; {
			text, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", path, f.Name, err)
			}
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(text, &object.Object); err == nil && object.GetKind() != "" && object.GetName() != "" {
				all = append(all, document{object, text})
			}
		}
	}
	return all
}

// offer has the API server judge the document, without keeping it.
func (c *cluster) offer(mapper meta.RESTMapper, document document) error {
	kind := document.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	offered := document.DeepCopy()
	resource := c.dynamic.Resource(mapping.Resource)
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		_, err = resource.Create(c.Context(), offered, options)
	} else {
		offered.SetNamespace(c.namespace)
		_, err = resource.Namespace(c.namespace).Create(c.Context(), offered, options)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// loadAlone has the file source judge the document.
func loadAlone(t *testing.T, document document) error {
	contents, err := file.Load(t.Context(), file.Options{Paths: []string{file.Stdin}, Stdin: bytes.NewReader(document.text)})
	if err != nil {
		return err
	}
	for _, d := range contents.Update.Diagnostics {
		if d.Severity == diagnostic.Error {
			return errors.New(d.Message)
		}
	}
	return nil
}
