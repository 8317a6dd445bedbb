package translate

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
)

// anyPath is the match of a rule without matches.
var anyPath = config.PathMatch{Type: config.PathPrefix, Value: "/"}

func (t *ruleTranslator) matches(field string, matches []gatewayv1.HTTPRouteMatch) []config.Match {
	if len(matches) == 0 {
		return []config.Match{{Path: anyPath}}
	}
	var next []config.Match
	for i := range matches {
		next = append(next, t.match(fmt.Sprintf("%s.matches[%d]", field, i), &matches[i]))
	}
	return next
}

func (t *ruleTranslator) match(field string, match *gatewayv1.HTTPRouteMatch) config.Match {
	return config.Match{
		Path:    t.path(field+".path", match.Path),
		Method:  t.method(field+".method", match.Method),
		Headers: t.headers(field, match.Headers),
		Query:   t.query(field, match.QueryParams),
	}
}

func (t *ruleTranslator) path(field string, path *gatewayv1.HTTPPathMatch) config.PathMatch {
	next := anyPath
	if path == nil {
		return next
	}
	if path.Type != nil {
		next.Type = config.PathMatchType(*path.Type)
	}
	if path.Value != nil {
		next.Value = *path.Value
	}
	switch next.Type {
	case config.PathExact, config.PathPrefix:
		if !strings.HasPrefix(next.Value, "/") {
			t.reject(gatewayv1.RouteReasonUnsupportedValue, field+".value", fmt.Sprintf("path %q does not begin with /", next.Value), "write /"+next.Value)
		}
	case config.PathRegex:
		t.regex(field+".value", next.Value)
	default:
		t.unknown(field+".type", "path match", string(next.Type))
	}
	return next
}

func (t *ruleTranslator) method(field string, method *gatewayv1.HTTPMethod) string {
	switch m := deref(method); m {
	case "", gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodHead, gatewayv1.HTTPMethodPost, gatewayv1.HTTPMethodPut,
		gatewayv1.HTTPMethodDelete, gatewayv1.HTTPMethodOptions, gatewayv1.HTTPMethodTrace, gatewayv1.HTTPMethodPatch:
	case gatewayv1.HTTPMethodConnect:
		t.warn(field, "Sluice refuses CONNECT, so the match never holds", "remove the match")
	default:
		t.unknown(field, "method", string(m))
	}
	return string(deref(method))
}

// headers obeys matches[].headers: of names that differ only in case the first
// counts.
func (t *ruleTranslator) headers(field string, headers []gatewayv1.HTTPHeaderMatch) []config.ValueMatch {
	var next []config.ValueMatch
	for i, h := range headers {
		next = t.value(next, fmt.Sprintf("%s.headers[%d]", field, i), strings.ToLower(string(h.Name)), string(deref(h.Type)), h.Value)
	}
	return next
}

// query obeys matches[].queryParams: of equal names the first counts.
func (t *ruleTranslator) query(field string, params []gatewayv1.HTTPQueryParamMatch) []config.ValueMatch {
	var next []config.ValueMatch
	for i, q := range params {
		next = t.value(next, fmt.Sprintf("%s.queryParams[%d]", field, i), string(q.Name), string(deref(q.Type)), q.Value)
	}
	return next
}

// value appends a match of a named value, unless the name is there already.
func (t *ruleTranslator) value(matches []config.ValueMatch, field, name, matchType, value string) []config.ValueMatch {
	for _, m := range matches {
		if m.Name == name {
			t.warn(field, fmt.Sprintf("%s is matched before; only the first match counts", name), "remove one of them")
			return matches
		}
	}
	next := config.ValueMatch{Name: name, Value: value}
	switch gatewayv1.HeaderMatchType(matchType) {
	case "", gatewayv1.HeaderMatchExact:
	case gatewayv1.HeaderMatchRegularExpression:
		next.Regex = true
		t.regex(field+".value", value)
	default:
		t.unknown(field+".type", "match", matchType)
	}
	return append(matches, next)
}

// unknown rejects a value that a later version of the API may know.
func (t *ruleTranslator) unknown(field, what, value string) {
	t.reject(gatewayv1.RouteReasonUnsupportedValue, field, fmt.Sprintf("Sluice knows no %s %q", what, value), "")
}

// regex rejects the rule if the expression is not RE2.
func (t *ruleTranslator) regex(field, expression string) {
	_, err := regexp.Compile(expression)
	if err == nil {
		return
	}
	message, fix := explainRegex(err)
	t.reject(gatewayv1.RouteReasonUnsupportedValue, field, fmt.Sprintf("regular expression %q: %s", expression, message), fix)
}

// explainRegex says what RE2 lacks that other dialects have, and what to write
// instead. RE2 lacks what cannot be matched in time linear in the input.
func explainRegex(err error) (message, fix string) {
	var invalid *syntax.Error
	if !errors.As(err, &invalid) {
		return err.Error(), ""
	}
	switch expr := invalid.Expr; {
	case strings.HasPrefix(expr, "(?=") || strings.HasPrefix(expr, "(?!"):
		return "look-ahead " + expr + " is not part of RE2", "write two rules, the more specific one for what is to be excluded"
	case strings.HasPrefix(expr, "(?<=") || strings.HasPrefix(expr, "(?<!"):
		return "look-behind " + expr + " is not part of RE2", "match what comes before as well, or write two rules"
	case strings.HasPrefix(expr, "(?>"):
		return "atomic groups are not part of RE2, which never backtracks", "write a plain group (?:…)"
	case invalid.Code == syntax.ErrInvalidEscape && len(expr) == 2 && '1' <= expr[1] && expr[1] <= '9':
		return "back-reference " + expr + " is not part of RE2", "write the repeated part again"
	}
	return fmt.Sprintf("%s: %s", invalid.Code, invalid.Expr), "use the syntax of https://github.com/google/re2/wiki/Syntax"
}
