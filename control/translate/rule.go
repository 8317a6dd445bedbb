package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// each translates one rule after another.
func (t *ruleTranslator) each(rules int, translate func(i int, field string) config.Rule) {
	for i := range rules {
		field := fmt.Sprintf("spec.rules[%d]", i)
		before, backends := len(t.invalid), len(t.backends)
		t.guard = nil
		rule := translate(i, field)
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

// reject drops the present rule.
func (t *ruleTranslator) reject(reason gatewayv1.RouteConditionReason, field, message, fix string) {
	t.invalid = append(t.invalid, problem{reason: string(reason), field: field, message: message, fix: fix})
}

func (t *ruleTranslator) warn(field, message, fix string) {
	t.review = append(t.review, problem{field: field, message: message, fix: fix}.finding(t.route, diagnostic.Warning))
}

// failure is what clients get where there is no backend, in words. See fault.
func (t *ruleTranslator) failure() string {
	if t.route.Kind == snapshot.KindGRPCRoute {
		return "UNAVAILABLE"
	}
	return "500"
}

func (t *ruleTranslator) reviewRule(field string, persistence *gatewayv1.SessionPersistence, translated config.Rule) {
	if persistence != nil {
		t.warn(field+".sessionPersistence", "session persistence is valid; this version of Sluice does not serve it yet and spreads requests over all endpoints", "")
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
		t.warn(field, "all weights are 0, so requests are answered with "+t.failure(), "give a backend a weight above 0")
	case len(backends) > 1 && weighty == 1:
		i := slices.IndexFunc(backends, func(b config.BackendRef) bool { return b.Weight > 0 })
		t.warn(field, fmt.Sprintf("all requests go to backendRefs[%d]: the other weights are 0", i), "remove the others, or give them weights above 0")
	}
}
