package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/restmapper"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/source/file"
)

// stricter are the documents of the corpus that this API server refuses and
// `sluice run` takes, or the other way round, by their archive and name; and why.
var stricter = map[string]string{}

// TestRules holds that `sluice run` takes what an API server takes and refuses
// what it refuses: each document of the corpus that the file source is tested
// with is offered to both.
func TestRules(t *testing.T) {
	c := newCluster(t)
	mapper := restmapper.NewDiscoveryRESTMapper(must(restmapper.GetAPIGroupResources(c.core.Discovery()))(t))
	documents := 0
	for _, path := range must(filepath.Glob("../../control/source/file/testdata/c*/*.txtar"))(t) { // core, custom
		for _, document := range readDocuments(t, path) {
			documents++
			name := fmt.Sprintf("%s: %s %s", filepath.Base(path), document.GetKind(), document.GetName())
			server, local := c.offer(mapper, document), loadAlone(t, document)
			_, known := stricter[name]
			if differ := (server == nil) != (local == nil); differ != known {
				t.Errorf("%s\n\tthe API server says: %v\n\tsluice run says: %v", name, server, local)
			}
		}
	}
	t.Logf("%d documents", documents)
	if documents == 0 {
		t.Error("there is no corpus")
	}
}

// readDocuments are the YAML documents of an archive that name a kind and an object.
func readDocuments(t *testing.T, path string) []*unstructured.Unstructured {
	archive := must(txtar.ParseFile(path))(t)
	var all []*unstructured.Unstructured
	for _, f := range archive.Files {
		if filepath.Ext(f.Name) != ".yaml" {
			continue
		}
		for decoder := yaml.NewDecoder(bytes.NewReader(f.Data)); ; {
			var content map[string]any
			err := decoder.Decode(&content)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", path, f.Name, err)
			}
			object := &unstructured.Unstructured{Object: content}
			if object.GetKind() != "" && object.GetName() != "" {
				all = append(all, object)
			}
		}
	}
	return all
}

// offer has the API server judge the document, without keeping it.
func (c *cluster) offer(mapper meta.RESTMapper, document *unstructured.Unstructured) error {
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
func loadAlone(t *testing.T, document *unstructured.Unstructured) error {
	folder := t.TempDir()
	content := must(yaml.Marshal(document.Object))(t)
	if err := os.WriteFile(filepath.Join(folder, "document.yaml"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	contents, err := file.Load(t.Context(), file.Options{Paths: []string{folder}})
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
