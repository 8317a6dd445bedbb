package translate

import (
	"fmt"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
)

func (t *ruleTranslator) grpcRules(rules []gatewayv1.GRPCRouteRule) {
	if len(rules) == 0 {
		t.warn("spec.rules", "the route has no rules, so it serves nothing", "add a rule; one without matches takes every method")
	}
	t.each(len(rules), func(i int, field string) config.Rule { return t.grpcRule(field, &rules[i]) })
}

// grpcRule translates a rule. What it has in common with an HTTPRoute's goes the
// same way.
func (t *ruleTranslator) grpcRule(field string, rule *gatewayv1.GRPCRouteRule) config.Rule {
	next := config.Rule{Name: string(deref(rule.Name))}
	next.Filters, next.Fault = t.filters(field, httpFilters(rule.Filters), nil)
	for i := range rule.BackendRefs {
		f, ref := fmt.Sprintf("%s.backendRefs[%d]", field, i), &rule.BackendRefs[i]
		next.Backends = append(next.Backends, t.weighted(f, &gatewayv1.HTTPBackendRef{
			BackendRef: ref.BackendRef,
			Filters:    httpFilters(ref.Filters),
		}, nil))
	}
	next.Matches = t.grpcMatches(field, rule.Matches)
	if len(next.Backends) == 0 && next.Fault == nil {
		t.warn(field, "the rule has no backend, so requests are answered with UNAVAILABLE", "add backendRefs")
	}
	t.reviewRule(field, rule.SessionPersistence, next)
	return next
}

// httpFilters are the filters as HTTPRoutes have them, which have all types that
// GRPCRoutes do.
func httpFilters(filters []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	var next []gatewayv1.HTTPRouteFilter
	for _, f := range filters {
		next = append(next, gatewayv1.HTTPRouteFilter{
			Type:                   gatewayv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier:  f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror:          f.RequestMirror,
			ExtensionRef:           f.ExtensionRef,
		})
	}
	return next
}

// hasFilter reports whether routes of the kind have filters of the type.
func hasFilter(kind snapshot.Kind, filter gatewayv1.HTTPRouteFilterType) bool {
	switch gatewayv1.GRPCRouteFilterType(filter) {
	case gatewayv1.GRPCRouteFilterRequestHeaderModifier, gatewayv1.GRPCRouteFilterResponseHeaderModifier,
		gatewayv1.GRPCRouteFilterRequestMirror, gatewayv1.GRPCRouteFilterExtensionRef:
		return true
	}
	return kind != snapshot.KindGRPCRoute
}

// grpcMatches are the rule's; a rule without matches takes every method.
func (t *ruleTranslator) grpcMatches(field string, matches []gatewayv1.GRPCRouteMatch) []config.Match {
	if len(matches) == 0 {
		return []config.Match{{RPC: &config.RPCMatch{}}}
	}
	var next []config.Match
	for i := range matches {
		f := fmt.Sprintf("%s.matches[%d]", field, i)
		next = append(next, config.Match{
			RPC:     t.rpc(f+".method", matches[i].Method),
			Headers: t.grpcHeaders(f, matches[i].Headers),
		})
	}
	return next
}

func (t *ruleTranslator) rpc(field string, match *gatewayv1.GRPCMethodMatch) *config.RPCMatch {
	if match == nil {
		return &config.RPCMatch{}
	}
	next := &config.RPCMatch{Service: deref(match.Service), Method: deref(match.Method)}
	check := t.rpcName
	switch kind := deref(match.Type); kind {
	case "", gatewayv1.GRPCMethodMatchExact:
	case gatewayv1.GRPCMethodMatchRegularExpression:
		next.Regex, check = true, t.regex
	default:
		t.unknown(field+".type", "method match", string(kind))
	}
	check(field+".service", next.Service)
	check(field+".method", next.Method)
	return next
}

func (t *ruleTranslator) rpcName(field, name string) {
	if strings.Contains(name, "/") {
		t.reject(gatewayv1.RouteReasonUnsupportedValue, field, fmt.Sprintf("name %q has a /", name), "write the service and the method each in its field")
	}
}

// grpcHeaders obeys matches[].headers: of names that differ only in case the
// first counts.
func (t *ruleTranslator) grpcHeaders(field string, headers []gatewayv1.GRPCHeaderMatch) []config.ValueMatch {
	var next []config.ValueMatch
	for i, h := range headers {
		next = t.value(next, fmt.Sprintf("%s.headers[%d]", field, i), strings.ToLower(string(h.Name)), string(deref(h.Type)), h.Value)
	}
	return next
}
