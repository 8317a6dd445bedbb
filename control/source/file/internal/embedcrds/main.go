// Command embedcrds writes the CustomResourceDefinitions that the file source
// validates with: those of the gateway-api module's experimental channel, which
// holds every kind, and Sluice's own. It leaves out descriptions and printer
// columns, which no validation reads, and writes one compact JSON file per kind.
//
// It is run by go generate in the package's folder.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	gatewayAPIModule = "sigs.k8s.io/gateway-api"
	ownCRDs          = "../../../deploy/crds"
	target           = "crds"
)

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatalf("embedcrds: %v", err)
	}
}

func run() error {
	module, err := moduleDir(gatewayAPIModule)
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(module, "config/crd/experimental/*.yaml"))
	if err != nil {
		return err
	}
	own, err := filepath.Glob(filepath.Join(ownCRDs, "*.yaml"))
	if err != nil {
		return err
	}
	if err := clear(target); err != nil {
		return err
	}
	for _, source := range append(sources, own...) {
		if err := embed(source); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	return nil
}

func moduleDir(path string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// clear removes what an earlier version of the module had.
func clear(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// embed writes the definitions in one YAML file; other kinds in it are left out.
func embed(source string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var crd apiextensions.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(doc), &crd); err != nil {
			return err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		if err := write(&crd); err != nil {
			return err
		}
	}
	return nil
}

func write(crd *apiextensions.CustomResourceDefinition) error {
	crd.Annotations, crd.Labels = nil, nil
	crd.Status = apiextensions.CustomResourceDefinitionStatus{}
	for i := range crd.Spec.Versions {
		version := &crd.Spec.Versions[i]
		version.AdditionalPrinterColumns = nil
		stripDescriptions(version.Schema.OpenAPIV3Schema)
	}
	out, err := json.Marshal(crd)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, strings.ToLower(crd.Spec.Names.Kind)+"."+crd.Spec.Group+".json"), append(out, '\n'), 0o644)
}

func stripDescriptions(schema *apiextensions.JSONSchemaProps) {
	schema.Description = ""
	for name, property := range schema.Properties {
		stripDescriptions(&property)
		schema.Properties[name] = property
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		stripDescriptions(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		stripDescriptions(schema.AdditionalProperties.Schema)
	}
	for i := range schema.AllOf {
		stripDescriptions(&schema.AllOf[i])
	}
	for i := range schema.AnyOf {
		stripDescriptions(&schema.AnyOf[i])
	}
	for i := range schema.OneOf {
		stripDescriptions(&schema.OneOf[i])
	}
}
