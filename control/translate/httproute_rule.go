package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// ruleTranslator translates the rules of one route. Rules do not depend on
// where the route is attached.
type ruleTranslator struct {
	r       *reader
	options Options
	route   snapshot.Key
	// local says that all parents of the route let Backend objects name what only
	// the data plane can reach.
	local bool

	rules []config.Rule
	// serves says that at least one rule is valid.
	serves bool
	// dropped are the indexes of the rules that are not.
	dropped []string
	// guard answers in place of the present rule if it would let requests
	// through that it should keep out.
	guard *config.Fault
	// matched has the matches so far, and the rules where they stood first.
	matched map[string]string
	// invalid is why rules are dropped, unresolved which references are wrong.
	invalid, unresolved []problem
	review              []diagnostic.Diagnostic
	backends            []backendName
	grants              []snapshot.Key
}

func (t *ruleTranslator) translate(rules []gatewayv1.HTTPRouteRule) {
	for i := range rules {
		field := fmt.Sprintf("spec.rules[%d]", i)
		before, backends := len(t.invalid), len(t.backends)
		t.guard = nil
		rule := t.rule(field, &rules[i])
		if len(t.invalid) == before {
			t.serves = true
			t.reviewReach(field, rule.Matches)
			t.rules = append(t.rules, rule)
			continue
		}
		t.dropped = append(t.dropped, strconv.Itoa(i))
		t.backends = t.backends[:backends]
		if t.guard != nil {
			// A rule that guards must not give way to one that does not.
			t.rules = append(t.rules, config.Rule{Name: rule.Name, Matches: rule.Matches, Fault: t.guard})
		}
	}
}

func (t *ruleTranslator) rule(field string, rule *gatewayv1.HTTPRouteRule) config.Rule {
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
	t.reviewRule(field, rule, next)
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

// reject drops the present rule.
func (t *ruleTranslator) reject(reason gatewayv1.RouteConditionReason, field, message, fix string) {
	t.invalid = append(t.invalid, problem{reason: string(reason), field: field, message: message, fix: fix})
}

func (t *ruleTranslator) warn(field, message, fix string) {
	t.review = append(t.review, problem{field: field, message: message, fix: fix}.finding(t.route, diagnostic.Warning))
}

func (t *ruleTranslator) reviewRule(field string, rule *gatewayv1.HTTPRouteRule, translated config.Rule) {
	if rule.SessionPersistence != nil {
		t.warn(field+".sessionPersistence", "session persistence is valid; this version of Sluice does not serve it yet and spreads requests over all endpoints", "")
	}
	if len(rule.BackendRefs) == 0 && translated.Filters.Redirect == nil && translated.Fault == nil {
		t.warn(field, "the rule has neither a backend nor a redirect, so requests are answered with 500", "add backendRefs, or a RequestRedirect filter")
	}
	t.reviewWeights(field+".backendRefs", translated.Backends)
}

// reviewReach finds a rule that no request reaches: of rules with the same match
// the first takes all.
func (t *ruleTranslator) reviewReach(field string, matches []config.Match) {
	reached, by := false, ""
	for _, m := range matches {
		m.Headers, m.Query = sortedValues(m.Headers), sortedValues(m.Query)
		if before, ok := t.matched[m.String()]; ok && before != field {
			by = before
			continue
		}
		t.matched[m.String()] = field
		reached = true
	}
	if !reached {
		t.warn(field, fmt.Sprintf("no request reaches the rule: %s has the same matches", strings.TrimPrefix(by, "spec.")), "remove one of the rules, or change its matches")
	}
}

// sortedValues puts matches in one order: in which order they hold does not matter.
func sortedValues(matches []config.ValueMatch) []config.ValueMatch {
	return slices.SortedFunc(slices.Values(matches), func(a, b config.ValueMatch) int { return strings.Compare(a.Name, b.Name) })
}

func (t *ruleTranslator) reviewWeights(field string, backends []config.BackendRef) {
	weighty := 0
	for _, b := range backends {
		if b.Weight > 0 {
			weighty++
		}
	}
	switch {
	case len(backends) > 0 && weighty == 0:
		t.warn(field, "all weights are 0, so requests are answered with 500", "give a backend a weight above 0")
	case len(backends) > 1 && weighty == 1:
		i := slices.IndexFunc(backends, func(b config.BackendRef) bool { return b.Weight > 0 })
		t.warn(field, fmt.Sprintf("all requests go to backendRefs[%d]: the other weights are 0", i), "remove the others, or give them weights above 0")
	}
}
