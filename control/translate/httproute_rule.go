package translate

import (
	"fmt"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
)

func (t *ruleTranslator) httpRules(rules []gatewayv1.HTTPRouteRule) {
	t.each(len(rules), func(i int, field string) config.Rule { return t.httpRule(field, &rules[i]) })
}

func (t *ruleTranslator) httpRule(field string, rule *gatewayv1.HTTPRouteRule) config.Rule {
	next := config.Rule{
		Name:     string(deref(rule.Name)),
		Timeouts: t.timeouts(field+".timeouts", rule.Timeouts),
		Retry:    t.retry(field+".retry", rule.Retry),
	}
	next.Filters, next.Fault = t.filters(field, rule.Filters, rule.Matches)
	for i := range rule.BackendRefs {
		next.Backends = append(next.Backends, t.weighted(fmt.Sprintf("%s.backendRefs[%d]", field, i), &rule.BackendRefs[i], rule.Matches))
	}
	next.Matches = t.guardedMatches(field, rule.Matches)
	if len(next.Backends) == 0 && next.Filters.Redirect == nil && next.Fault == nil {
		t.warn(field, "the rule has neither a backend nor a redirect, so requests are answered with 500", "add backendRefs, or a RequestRedirect filter")
	}
	t.reviewRule(field, rule.SessionPersistence, next)
	return next
}

// guardedMatches gives up the guard of a rule whose matches are wrong: nothing
// says which requests it would answer.
func (t *ruleTranslator) guardedMatches(field string, matches []gatewayv1.HTTPRouteMatch) []config.Match {
	before := len(t.invalid)
	next := t.matches(field, matches)
	if len(t.invalid) > before {
		t.guard = nil
	}
	return next
}

func (t *ruleTranslator) timeouts(field string, timeouts *gatewayv1.HTTPRouteTimeouts) config.Timeouts {
	if timeouts == nil {
		return config.Timeouts{}
	}
	return config.Timeouts{
		Request:        t.duration(field+".request", timeouts.Request),
		BackendRequest: t.duration(field+".backendRequest", timeouts.BackendRequest),
	}
}

// duration reads a duration of GEP-2257, whose form is a subset of Go's.
func (t *ruleTranslator) duration(field string, value *gatewayv1.Duration) time.Duration {
	if value == nil {
		return 0
	}
	duration, err := time.ParseDuration(string(*value))
	if err != nil {
		t.reject(gatewayv1.RouteReasonUnsupportedValue, field, fmt.Sprintf("%q is no duration", *value), "write a duration such as 500ms or 1m30s")
	}
	return duration
}

// defaultAttempts is the number of retries where retry.attempts is not set,
// which the API leaves to the implementation.
const defaultAttempts = 1

func (t *ruleTranslator) retry(field string, retry *gatewayv1.HTTPRouteRetry) *config.Retry {
	if retry == nil {
		return nil
	}
	next := &config.Retry{Attempts: defaultAttempts, Backoff: t.duration(field+".backoff", retry.Backoff)}
	if retry.Attempts != nil {
		next.Attempts = *retry.Attempts
	}
	for _, code := range retry.Codes {
		next.Codes = append(next.Codes, int(code))
	}
	return next
}
