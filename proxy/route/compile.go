package route

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// compiled is a route with its rules, whatever it is attached to.
type compiled[A any] struct {
	config     *config.Route
	candidates []*candidate[A]
}

// candidate is one match of one rule.
type candidate[A any] struct {
	route *compiled[A]
	rule  *Rule[A]
	// index is the match's place in the rule, from 0.
	index int
	conditions
}

// compileRoute compiles every rule. A match with an invalid regular expression
// is left out, as it can never match, and its rule gets a Fault: what is left
// of it answers as what it is, misconfigured.
func compileRoute[A any](r *config.Route, action func(*config.Route, *config.Rule) A) *compiled[A] {
	c := &compiled[A]{config: r}
	for i := range r.Rules {
		rule := &Rule[A]{Route: r, Rule: &r.Rules[i], Index: i}
		for j := range rule.Rule.Matches {
			conditions, err := compileMatch(&r.Rules[i].Matches[j])
			if err != nil {
				rule.Rule = withFault(&r.Rules[i], err)
				continue
			}
			c.candidates = append(c.candidates, &candidate[A]{c, rule, j, conditions})
		}
		rule.Action = action(r, rule.Rule)
	}
	return c
}

func withFault(rule *config.Rule, err error) *config.Rule {
	faulty := *rule
	faulty.Fault = &config.Fault{Status: http.StatusInternalServerError, Reason: err.Error()}
	return &faulty
}

// conditions is a match, compiled.
type conditions struct {
	match *config.Match
	kind  kind
	// path is the exact path, the prefix without its trailing slash, the
	// expression, or the service where it alone is named.
	path string
	// expression is set for a RegularExpression path.
	expression *expression
	// rpc is set where a method of gRPC is compared, and no path.
	rpc     *rpcTest
	headers []valueTest
	query   []valueTest
}

// valueTest is a condition on one header or query parameter.
type valueTest struct {
	*config.ValueMatch
	// expression is nil where the value is compared exactly.
	expression *expression
}

func compileMatch(m *config.Match) (conditions, error) {
	c := conditions{match: m}
	var err error
	if m.RPC != nil {
		err = c.compileRPC(m.RPC)
	} else {
		err = c.compilePath(m.Path)
	}
	if err != nil {
		return c, err
	}
	if c.headers, err = compileValues("header", m.Headers); err != nil {
		return c, err
	}
	c.query, err = compileValues("query parameter", m.Query)
	return c, err
}

func (c *conditions) compilePath(m config.PathMatch) (err error) {
	switch m.Type {
	case config.PathExact:
		c.kind, c.path = atPath, normalise(m.Value)
	case config.PathPrefix:
		c.kind, c.path = atPrefix, strings.TrimSuffix(normalise(m.Value), "/")
	case config.PathRegex:
		c.kind, c.path = scanned, m.Value
		c.expression, err = compileExpression("path", m.Value)
	default:
		err = fmt.Errorf("path match type %q is not known; use Exact, PathPrefix or RegularExpression", m.Type)
	}
	return err
}

func compileValues(what string, matches []config.ValueMatch) ([]valueTest, error) {
	if len(matches) == 0 {
		return nil, nil
	}
	tests := make([]valueTest, len(matches))
	for i := range matches {
		tests[i].ValueMatch = &matches[i]
		if !matches[i].Regex {
			continue
		}
		var err error
		if tests[i].expression, err = compileExpression(what+" "+matches[i].Name, matches[i].Value); err != nil {
			return nil, err
		}
	}
	return tests, nil
}

// expression is an RE2 expression that a whole value must match.
type expression struct {
	whole *regexp.Regexp
	// start begins every value that matches: most values are told apart by it
	// without running the expression.
	start string
}

func compileExpression(what, value string) (*expression, error) {
	// Alone first: "a)|(b" is invalid, but would not be within the group below.
	alone, err := regexp.Compile(value)
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q of the %s is invalid: %w; write it in RE2 syntax", value, what, err)
	}
	whole, err := regexp.Compile(`\A(?:` + value + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q of the %s is too large: %w", value, what, err)
	}
	start, _ := alone.LiteralPrefix()
	return &expression{whole, start}, nil
}

func (e *expression) matches(value string) bool {
	return strings.HasPrefix(value, e.start) && e.whole.MatchString(value)
}

// normalise brings a configured path into the form that requests' paths have.
func normalise(path string) string {
	if normal, err := message.NormalizePath(path); err == nil {
		return normal
	}
	return path
}
