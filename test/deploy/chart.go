package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	release "helm.sh/helm/v4/pkg/release/v1/util"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// chartFolder is where the chart is.
var chartFolder = filepath.Join(repository, "deploy/chart/sluice")

// The documentation installs Sluice under this name into this namespace.
const (
	defaultRelease   = "sluice"
	defaultNamespace = "sluice-system"
)

// installation is what a user of the chart decides.
type installation struct {
	release, namespace string
	values             map[string]any
}

// addFile lays the values of a file over those that are there.
func (i *installation) addFile(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(content, &values); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	i.values = loader.MergeMaps(i.values, values)
	return nil
}

// addValue lays a value over those that are there; Helm's --set says how it is written.
func (i *installation) addValue(setting string) error {
	if i.values == nil {
		i.values = map[string]any{}
	}
	return strvals.ParseInto(setting, i.values)
}

// manifests are YAML documents, each after a line "---".
type manifests struct {
	namespace, definitions, objects string
}

// render does what "helm template" does. Objects are in the order in which Helm
// creates them.
func (i *installation) render() (manifests, error) {
	chart, err := loader.Load(chartFolder)
	if err != nil {
		return manifests{}, err
	}
	options := common.ReleaseOptions{Name: cmp.Or(i.release, defaultRelease), Namespace: i.namespace, IsInstall: true, Revision: 1}
	values, err := util.ToRenderValues(chart, i.values, options, common.DefaultCapabilities)
	if err != nil {
		return manifests{}, err
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(context.Background(), chart, values)
	if err != nil {
		return manifests{}, err
	}
	for name := range files {
		if filepath.Ext(name) == ".txt" {
			delete(files, name)
		}
	}
	_, objects, err := release.SortManifests(files, nil, release.InstallOrder)
	if err != nil {
		return manifests{}, err
	}
	definitions, err := readDefinitions()
	if err != nil {
		return manifests{}, err
	}
	result := manifests{namespace: document(i.renderNamespace(values))}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		result.definitions += document(definitions[name])
	}
	for _, object := range objects {
		result.objects += document(object.Content)
	}
	return result, nil
}

// renderNamespace makes what "helm install --create-namespace" makes, and has it
// admit no more than the Pods need.
func (i *installation) renderNamespace(values common.Values) string {
	standard := "restricted"
	if hostNetwork, err := values.PathValue("Values.hostNetwork"); err == nil && hostNetwork == true {
		standard = "privileged"
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels:
    pod-security.kubernetes.io/enforce: %s
`, i.namespace, standard)
}

func document(content string) string {
	return "---\n" + strings.TrimPrefix(strings.TrimSpace(content), "---\n") + "\n"
}
