package file

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// custom judges a custom resource, and brings it into the form in which an API
// server would return it in the version that Sluice uses. The steps and their order
// are those of an API server that creates an object with strict field validation.
func (t *trial) custom(fields map[string]any, definition *definition) {
	written, ok := t.servedVersion(fields, definition)
	if !ok {
		return
	}
	t.cleanMetadata(fields)
	shapely := t.shape(fields["metadata"], reflect.TypeFor[metav1.ObjectMeta](), field.NewPath("metadata"))
	t.prune(fields, written.structural)
	defaulting.PruneNonNullableNullsWithoutDefaults(fields, written.structural)
	defaulting.Default(fields, written.structural)
	delete(fields, "status") // a subresource: only Sluice writes it

	if shapely {
		t.validateMetadata(fields, apivalidation.NameIsDNSSubdomain)
	}
	t.validate(fields, written, shapely)
	t.convert(fields, definition)
}

// servedVersion finds the version that the object is written in.
func (t *trial) servedVersion(fields map[string]any, definition *definition) (*version, bool) {
	apiVersion, _ := fields["apiVersion"].(string)
	name := apiVersion[strings.IndexByte(apiVersion, '/')+1:]
	version, ok := definition.versions[name]
	if !ok {
		t.refuse("apiVersion", fmt.Sprintf("the version %s of %s is not served; served: %s",
			name, t.kind.Name, strings.Join(definition.served(), ", ")), suggestVersion(t.kind))
		return nil, false
	}
	if name != t.kind.Version {
		t.about(diagnostic.Info, "apiVersion", fmt.Sprintf("the version %s of %s is still served; %s is the current one",
			name, t.kind.Name, t.kind.Version), suggestVersion(t.kind))
	}
	return version, true
}

// prune removes the fields that the schema does not know, and reports each.
func (t *trial) prune(fields map[string]any, schema *structuralschema.Structural) {
	unknown := pruning.PruneWithOptions(fields, schema, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		if t.refused = true; t.full() {
			return
		}
		t.refuseField(path, fixUnknown(path, schema))
	}
}

// validate holds an object to a version's schema, and to its CEL rules unless they
// cannot be evaluated.
func (t *trial) validate(fields map[string]any, v *version, evaluate bool) {
	ctx := context.Background() // nothing here waits
	errs := validation.ValidateCustomResource(nil, fields, v.schema)
	errs = append(errs, objectmeta.Validate(ctx, nil, fields, v.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, fields)...)
	if rules := v.rules(); rules != nil && evaluate && !blocksRules(errs) {
		found, _ := rules.Validate(ctx, nil, v.structural, fields, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, found...)
	}
	t.refuseAll(errs)
}

// blocksRules is true of mistakes after which an API server does not evaluate CEL
// rules, because they count on the schema being met.
func blocksRules(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong,
			field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}

// convert brings an object into the version that Sluice uses. The definitions'
// conversion strategy is None: versions differ in nothing but their name, and what
// the new version defaults.
func (t *trial) convert(fields map[string]any, definition *definition) {
	if fields["apiVersion"] == t.kind.apiVersion() {
		return
	}
	fields["apiVersion"] = t.kind.apiVersion()
	defaulting.Default(fields, definition.versions[t.kind.Version].structural)
	delete(fields, "status")
}
