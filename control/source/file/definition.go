package file

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sluicegateway/sluice/control/snapshot"
)

//go:embed crds
var embedded embed.FS

// definitions are the CustomResourceDefinitions by kind. Each is read, and its rules
// are compiled, when a document first needs it. It is safe for concurrent use.
type definitions struct {
	mu    sync.Mutex
	found map[snapshot.Kind]*definition
}

// definition is one kind's CustomResourceDefinition.
type definition struct {
	// versions are those that are served.
	versions map[string]*version
}

// version is what one served version of a kind asks of an object.
type version struct {
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	// rules compiles the CEL rules; nil if there are none.
	rules func() *cel.Validator
}

func (d *definition) served() []string {
	return slices.Sorted(maps.Keys(d.versions))
}

// of returns the definition of a kind that is no kind of Kubernetes itself. The
// definitions are part of the program: one that does not load is a bug, and panics.
func (d *definitions) of(k *kind) *definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := d.found[k.Name]; found != nil {
		return found
	}
	loaded, err := loadDefinition(k)
	if err != nil {
		panic(fmt.Sprintf("embedded definition of %s: %v", k.Name, err))
	}
	if d.found == nil {
		d.found = map[snapshot.Kind]*definition{}
	}
	d.found[k.Name] = loaded
	return loaded
}

func loadDefinition(k *kind) (*definition, error) {
	crd, err := readDefinition(k)
	if err != nil {
		return nil, err
	}
	loaded := &definition{versions: map[string]*version{}}
	for i := range crd.Spec.Versions {
		if !crd.Spec.Versions[i].Served {
			continue
		}
		v, err := newVersion(crd.Spec.Versions[i].Schema.OpenAPIV3Schema)
		if err != nil {
			return nil, fmt.Errorf("version %s: %w", crd.Spec.Versions[i].Name, err)
		}
		loaded.versions[crd.Spec.Versions[i].Name] = v
	}
	return loaded, nil
}

func readDefinition(k *kind) (*apiextensionsv1.CustomResourceDefinition, error) {
	text, err := embedded.ReadFile("crds/" + strings.ToLower(string(k.Name)) + "." + k.Group + ".json")
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	return &crd, json.Unmarshal(text, &crd)
}

func newVersion(published *apiextensionsv1.JSONSchemaProps) (*version, error) {
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	schema, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	return &version{
		structural: structural,
		schema:     schema,
		rules: sync.OnceValue(func() *cel.Validator {
			return cel.NewValidator(structural, true, celconfig.PerCallLimit)
		}),
	}, nil
}
