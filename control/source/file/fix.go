package file

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/idna"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fixFor says what would be right where a validator of Kubernetes found a mistake;
// empty if what is wrong says it already. The node is the value, nil if it is missing.
func fixFor(err *field.Error, node *yaml.Node) string {
	value, _ := err.BadValue.(string)
	switch {
	case err.Type == field.ErrorTypeRequired:
		return "add " + err.Field
	case err.Type == field.ErrorTypeNotSupported:
		return fixChoice(value, err.Detail)
	case err.Type == field.ErrorTypeTypeInvalid:
		if match := typeError.FindStringSubmatch(err.Detail); match != nil {
			return fixType(withArticle(match[1]), node)
		}
	case err.Type != field.ErrorTypeInvalid:
		return ""
	case strings.Contains(err.Detail, "RFC 1123"):
		return fixName(value, err.Field)
	case isHostnameField(err.Field):
		return fixHostname(value)
	}
	return fixRule(err.Detail)
}

// supported finds the choices in the detail of an error about an unsupported value.
var supported = regexp.MustCompile(`"([^"]*)"`)

func fixChoice(value, detail string) string {
	var choices []string
	for _, match := range supported.FindAllStringSubmatch(detail, -1) {
		choices = append(choices, match[1])
	}
	return didYouMean(value, slices.Values(choices))
}

// fixType says how to write a scalar that YAML took for something else.
func fixType(want string, node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" {
		return ""
	}
	text, isPlain := plain(node)
	switch {
	case want == "a string" && isPlain:
		if _, word := bareBool(node); word {
			return fmt.Sprintf("quote it: %q; Kubernetes reads YAML 1.1, where a bare %s is a boolean", text, text)
		}
		return "quote it: " + quote(text)
	case (want == "an integer" || want == "a number") && !isPlain && isDigits(node.Value):
		return "remove the quotes: " + node.Value
	case want == "a boolean" && !isPlain && (node.Value == "true" || node.Value == "false"):
		return "remove the quotes: " + node.Value
	}
	return ""
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

const hostnameRule = `lower-case letters, digits, "-" and "."; a wildcard "*" stands alone and first, as in "*.example.com"`

func fixHostname(value string) string {
	lower := strings.ToLower(strings.TrimSuffix(value, "."))
	host, port, hasPort := strings.Cut(lower, ":")
	wild, name := "", value
	if strings.HasPrefix(value, "*.") {
		wild, name = value[:2], value[2:]
	}
	switch ascii, err := idna.Lookup.ToASCII(name); {
	case err == nil && ascii != strings.ToLower(name) && isHostname(ascii):
		return "write " + quote(wild+ascii) + ", its form in DNS"
	case lower != value && isHostname(lower):
		return "write " + quote(lower)
	case hasPort && isDigits(port) && isHostname(host):
		return "write " + quote(host) + ": a hostname has no port"
	case strings.Contains(value, "*"):
		parent := lower[strings.LastIndexByte(lower, '*')+1:]
		if strings.Count(parent, ".") > 1 && isHostname("*"+parent) {
			return fmt.Sprintf("a wildcard stands alone and first, as in %q", "*"+parent)
		}
	case strings.Contains(value, "://"):
		return "write the name alone, without scheme and path"
	}
	return hostnameRule
}

func isHostname(value string) bool {
	return len(validation.IsDNS1123Subdomain(strings.TrimPrefix(value, "*."))) == 0
}

func fixName(value, path string) string {
	lower := strings.ToLower(strings.ReplaceAll(value, "_", "-"))
	switch {
	case lower == value || len(validation.IsDNS1123Subdomain(lower)) > 0:
		return ""
	case strings.HasPrefix(path, "metadata."):
		return fmt.Sprintf("write %q, also where others refer to it", lower)
	}
	return "write " + quote(lower)
}

// ruleFixes say what to do about rules of the Gateway API whose message alone leaves
// the reader alone. They are found by a part of that message.
var ruleFixes = []struct{ message, fix string }{
	{"RequestRedirect filter must not be used together with backendRefs",
		"remove backendRefs from this rule, for a redirect is its whole answer; or remove the RequestRedirect filter"},
	{"May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite",
		"keep one of RequestRedirect and URLRewrite in this rule"},
	{"path.replacePrefixMatch, exactly one PathPrefix match must be specified",
		"give the rule one match, with a path of type PathPrefix; or use replaceFullPath"},
	{"Must have port for Service reference", "add the port of the Service"},
	{"tls mode must be Terminate for protocol HTTPS",
		"set tls.mode to Terminate; or set the listener's protocol to TLS to pass connections through"},
	{"certificateRefs or options must be specified when mode is Terminate", "add certificateRefs with the Secret of the certificate"},
	{"tls must not be specified for protocols", "remove tls; or set protocol to HTTPS"},
	{"hostname must not be specified for protocols", "remove hostname: TCP and UDP know no names"},
	{"Listener name must be unique", "rename one of the listeners"},
	{"Combination of port, protocol and hostname must be unique", "give each listener its own port or hostname"},
	{"value must be an absolute path and start with '/'", `begin the path with "/"`},
	{"sectionName or port must be unique when parentRefs", "remove the second parentRef to the same listener"},
	{"sectionName or port must be specified when parentRefs", "name the listener of each with sectionName"},
	{"service must only contain valid characters", "write the service with its package alone, such as shop.Cart; the method has a field of its own"},
	{"method must only contain valid characters", "write the name of the method alone, such as AddItem"},
	{"exactly one of ip, fqdn and unix must be set", "make an endpoint of each"},
	{"backendRequest timeout cannot be longer than request timeout", "raise request or lower backendRequest"},
	{"when type one of ['Exact', 'PathPrefix']", "write the path in its plain form; or use type RegularExpression"},
	{"([0-9]{1,5}(h|m|s|ms)){1,4}", `write whole numbers of h, m, s and ms, such as "1s500ms"`},
	{`[a-z0-9]([-a-z0-9]*[a-z0-9])?`, `use lower-case letters, digits, "-" and "."`},
	{`'^/[^\x00]+$'`, "write an absolute path"},
}

// missingFilter and strayFilter match the rules that tie a filter's type to its field.
var (
	missingFilter = regexp.MustCompile(`filter\.(\w+) must be specified for (\w+) filter\.type`)
	strayFilter   = regexp.MustCompile(`filter\.(\w+) must be nil if the filter\.type is not (\w+)`)
)

func fixRule(message string) string {
	if match := missingFilter.FindStringSubmatch(message); match != nil {
		return fmt.Sprintf("add %s beside type: %s", match[1], match[2])
	}
	if match := strayFilter.FindStringSubmatch(message); match != nil {
		return fmt.Sprintf("set type: %s; or remove %s", match[2], match[1])
	}
	for _, rule := range ruleFixes {
		if strings.Contains(message, rule.message) {
			return rule.fix
		}
	}
	return ""
}

func didYouMean(name string, choices iter.Seq[string]) string {
	if near := nearest(name, choices); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}
