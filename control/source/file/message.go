package file

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// describe says what a validator of Kubernetes found, without the path, which stands
// beside it, and without values that are whole objects.
func describe(err *field.Error) string {
	detail := strings.TrimPrefix(err.Detail, err.Field+" in body ")
	detail = expression.ReplaceAllString(detail, ")")
	switch err.Type {
	case field.ErrorTypeRequired:
		return orElse(detail, "is required")
	case field.ErrorTypeDuplicate:
		return string(mustMarshal(err.BadValue)) + " is there twice; it must be unique"
	case field.ErrorTypeNotSupported:
		return strings.TrimSpace(fmt.Sprintf("%s is not supported; %s", scalarText(err.BadValue), detail))
	case field.ErrorTypeTypeInvalid:
		return describeType(detail)
	case field.ErrorTypeTooMany, field.ErrorTypeTooFew, field.ErrorTypeTooLong, field.ErrorTypeForbidden:
		return orElse(detail, strings.ToLower(err.Type.String()))
	}
	if _, rule, failed := strings.Cut(detail, " evaluating rule: "); failed {
		return rule
	}
	if isHostnameField(err.Field) && strings.HasPrefix(detail, "should match") {
		detail = "is no valid hostname"
	}
	if strings.HasPrefix(detail, "should have at ") {
		return fmt.Sprintf("has %v, but %s", err.BadValue, detail)
	}
	if text := scalarText(err.BadValue); text != "" && !strings.Contains(detail, text) {
		return text + " " + predicate(detail)
	}
	return orElse(detail, strings.ToLower(err.ErrorBody()))
}

// expression is the part of a message about names that shows the regular expression.
var expression = regexp.MustCompile(`, regex used for validation is '.*'\)$`)

// predicate makes a message go on from the value as a sentence does.
func predicate(detail string) string {
	for _, verb := range []string{"is ", "must ", "may ", "should ", "needs "} {
		if strings.HasPrefix(detail, verb) {
			return detail
		}
	}
	return "is not valid: " + detail
}

func isHostnameField(path string) bool {
	name := lastElement(path)
	return name == "hostname" || name == "hostnames"
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// scalarText is a value as it would stand in a file; empty if it is nothing to show.
func scalarText(value any) string {
	switch value := value.(type) {
	case string:
		if value == "" {
			return ""
		}
		return strconv.Quote(value)
	case int64, int32, int, float64, bool:
		return fmt.Sprint(value)
	default:
		return ""
	}
}

// typeError is how the schema validator words the mistake of a wrong type.
var typeError = regexp.MustCompile(`must be of type (\w+): "(\w+)"$`)

func describeType(detail string) string {
	match := typeError.FindStringSubmatch(detail)
	if match == nil {
		return detail
	}
	return fmt.Sprintf("must be %s, not %s", withArticle(match[1]), withArticle(match[2]))
}

// withArticle names a type of JSON schema as aKind does.
func withArticle(jsonType string) string {
	switch jsonType {
	case "object":
		return "an object"
	case "array":
		return "a list"
	case "integer":
		return "an integer"
	case "null":
		return "null"
	default:
		return "a " + jsonType
	}
}

// visible replaces what a terminal or the log of a build would take for commands:
// whoever proposes a change names objects and files at will.
func visible(d diagnostic.Diagnostic) diagnostic.Diagnostic {
	d.Object = snapshot.Key{
		Kind: snapshot.Kind(printing(string(d.Object.Kind))), Namespace: printing(d.Object.Namespace), Name: printing(d.Object.Name),
	}
	d.File, d.Field, d.Message, d.Fix = printing(d.File), printing(d.Field), printing(d.Message), printing(d.Fix)
	return d
}

func printing(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func quote(text string) string { return strconv.Quote(text) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
