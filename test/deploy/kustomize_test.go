package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// TestKustomize holds that the base and each overlay build what the chart makes
// of the values of the same name.
func TestKustomize(t *testing.T) {
	folders := map[string]string{"": filepath.Join(repository, "deploy/kustomize/base")}
	overlays, err := os.ReadDir(filepath.Join(repository, "deploy/kustomize/overlays"))
	if err != nil || len(overlays) == 0 {
		t.Fatalf("there is no overlay (%v)", err)
	}
	for _, overlay := range overlays {
		folders[overlay.Name()] = filepath.Join(repository, "deploy/kustomize/overlays", overlay.Name())
	}
	chart := variants(t)
	for name, folder := range folders {
		t.Run(name, func(t *testing.T) {
			built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
			if err != nil {
				t.Fatal(err)
			}
			got, err := built.AsYaml()
			if err != nil {
				t.Fatal(err)
			}
			if chart[name] == nil {
				t.Fatalf("deploy/values has no %s.yaml", name)
			}
			rendered, err := chart[name].render()
			if err != nil {
				t.Fatal(err)
			}
			want := byName(t, rendered.namespace+rendered.definitions+rendered.objects)
			if diff := cmp.Diff(want, byName(t, string(got))); diff != "" {
				t.Errorf("chart (-) and kustomize (+):\n%s", diff)
			}
		})
	}
}

// byName has each YAML document by its kind and name.
func byName(t *testing.T, documents string) map[string]any {
	t.Helper()
	result := map[string]any{}
	for document := range strings.SplitSeq(documents, "---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object != nil {
			metadata := object["metadata"].(map[string]any)
			result[object["kind"].(string)+" "+metadata["name"].(string)] = object
		}
	}
	return result
}
