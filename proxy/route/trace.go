package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// MaxTraced is the most entries of each kind that a Trace holds.
const MaxTraced = 100

// Trace records how a search went: at each step the one that won and why each
// other lost. It is for explanations; [Socket.Match] fills it.
type Trace struct {
	// Host is the request's host as it is compared, without its port.
	Host string
	// Listeners are those of the socket, the winner first.
	Listeners []Decision
	// Hostnames are those of the listener that cover the host, the winner first;
	// if none does, they are all of its hostnames.
	Hostnames []Decision
	// Candidates are the matches of that hostname in order of precedence, as far
	// as their paths match; then those whose paths do not.
	Candidates []Candidate
	// Omitted counts what is left out beyond MaxTraced.
	Omitted int
}

// Decision is the fate of a listener or a hostname.
type Decision struct {
	// Listener is the name of the listener.
	Listener string
	// Hostname is empty for any.
	Hostname string
	Won      bool
	// Reason says why it lost.
	Reason string
}

// Candidate is the fate of one match of one rule.
type Candidate struct {
	Place
	Won bool
	// Reason says why it lost.
	Reason string
}

// Place says where a match stands in the configuration.
type Place struct {
	// Route is the route's name in the configuration.
	Route string
	// Rule and Match are indices, from 0, of the rule in the route and of the
	// match in the rule.
	Rule, Match int
	// RuleName is often empty.
	RuleName string
	// Conditions is the match in words.
	Conditions string
}

func describe[A any](c *candidate[A]) Place {
	return Place{
		Route:      c.route.config.Name,
		Rule:       c.rule.Index,
		RuleName:   c.rule.Rule.Name,
		Match:      c.index,
		Conditions: c.String(),
	}
}

// String is the match in words: `PathPrefix /cart, method GET, header env = "canary"`.
func (c *conditions) String() string {
	var b strings.Builder
	if c.rpc != nil {
		b.WriteString(c.rpc.String())
	} else {
		fmt.Fprintf(&b, "%s %s", c.match.Path.Type, c.match.Path.Value)
	}
	if c.match.Method != "" {
		fmt.Fprintf(&b, ", method %s", c.match.Method)
	}
	for i := range c.headers {
		fmt.Fprintf(&b, ", header %v", &c.headers[i])
	}
	for i := range c.query {
		fmt.Fprintf(&b, ", query %v", &c.query[i])
	}
	return b.String()
}

func (t *valueTest) String() string {
	if t.Regex {
		return fmt.Sprintf("%s ~ %q", t.Name, t.Value)
	}
	return fmt.Sprintf("%s = %q", t.Name, t.Value)
}

// explain says why the request failed the match.
func (v verdict) explain(c *conditions, r *message.Request) string {
	switch v.failed {
	case partPath, partCall, partService, partRPCMethod:
		return c.explainPath(r)
	case partMethod:
		return fmt.Sprintf("method is %s, not %s", clip(r.Method), c.match.Method)
	case partHeader:
		t := &c.headers[v.index]
		value, ok := field(r, t.Name)
		return t.explain("header", value, ok)
	case partQuery:
		t := &c.query[v.index]
		value, ok := parameter(r.Query, t.Name)
		return t.explain("query parameter", decode(value), ok)
	}
	return ""
}

func (c *conditions) explainPath(r *message.Request) string {
	switch {
	case c.rpc != nil:
		return c.rpc.explain(r)
	case c.kind == atPath:
		return fmt.Sprintf("path is %s, not %s", clip(r.Path), c.path)
	case c.kind == atPrefix:
		return fmt.Sprintf("path %s does not start with %s", clip(r.Path), c.match.Path.Value)
	}
	return fmt.Sprintf("path %s does not match the expression %s", clip(r.Path), c.path)
}

func (t *valueTest) explain(what, value string, present bool) string {
	switch {
	case !present:
		return fmt.Sprintf("%s %s is absent", what, t.Name)
	case t.Regex:
		return fmt.Sprintf("%s %s is %q, which does not match the expression %q", what, t.Name, clip(value), t.Value)
	}
	return fmt.Sprintf("%s %s is %q, not %q", what, t.Name, clip(value), t.Value)
}

// clip bounds what a client can write into an explanation.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func (t *Trace) lost(p Place, reason string) { t.add(Candidate{Place: p, Reason: reason}) }

func (t *Trace) add(c Candidate) {
	if len(t.Candidates) < MaxTraced || c.Won {
		t.Candidates = append(t.Candidates, c)
	} else {
		t.Omitted++
	}
}

// traceListeners records every listener of the socket.
func traceListeners[A any](t *Trace, s *Socket[A], host string, won *listener[A]) {
	*t = Trace{Host: host}
	for _, listeners := range []*sharded[string, *listener[A]]{&s.own, &s.wide} {
		for _, l := range listeners.all() {
			d := Decision{Listener: l.config.Name, Hostname: l.config.Hostname, Won: l == won}
			switch {
			case d.Won:
			case covers(d.Hostname, host):
				d.Reason = "less specific than " + won.config.Name
			default:
				d.Reason = notCovered(d.Hostname, host)
			}
			t.Listeners = append(t.Listeners, d)
		}
	}
	t.Listeners = t.bounded(t.Listeners)
}

// traceHosts records the hostnames of the listener that cover the host, or all
// of them if none does.
func traceHosts[A any](t *Trace, l *listener[A], host string, won *host[A]) {
	for key, ok := host, true; ok; key, ok = wider(key) {
		h, found := l.hosts.get(key)
		if !found {
			continue
		}
		d := Decision{Listener: l.config.Name, Hostname: h.hostname, Won: h == won}
		if !d.Won {
			d.Reason = "less specific than " + won.hostname
		}
		t.Hostnames = append(t.Hostnames, d)
	}
	if won != nil {
		return
	}
	for _, h := range l.hosts.all() {
		t.Hostnames = append(t.Hostnames, Decision{Listener: l.config.Name, Hostname: h.hostname, Reason: notCovered(h.hostname, host)})
	}
	t.Hostnames = t.bounded(t.Hostnames)
}

func notCovered(hostname, host string) string {
	return fmt.Sprintf("hostname %s does not cover %q", hostname, clip(host))
}

// bounded puts the winner first, the others by name, and cuts off what is too much.
func (t *Trace) bounded(decisions []Decision) []Decision {
	slices.SortFunc(decisions, func(a, b Decision) int {
		switch {
		case a.Won:
			return -1
		case b.Won:
			return 1
		}
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Hostname, b.Hostname))
	})
	if extra := len(decisions) - MaxTraced; extra > 0 {
		t.Omitted += extra
		return decisions[:MaxTraced]
	}
	return decisions
}

// traceOthers adds the winner and the candidates that the search did not come
// to: those that it would have tried later, then those whose paths do not match.
func traceOthers[A any](t *Trace, h *host[A], r *message.Request, won *candidate[A]) {
	if won != nil {
		t.add(Candidate{Place: describe(won), Won: true})
	}
	ordered := h.ordered()
	for _, c := range ordered {
		if won != nil && order(c, won) > 0 && c.takesPath(r) {
			t.lost(describe(c), outranked(c, won))
		}
	}
	for _, c := range ordered {
		tried := c.kind == scanned && (won == nil || order(c, won) < 0)
		if !tried && !c.takesPath(r) {
			t.lost(describe(c), c.explainPath(r))
		}
	}
}

// takesPath tests the path alone, or the method of gRPC that it names.
func (c *conditions) takesPath(r *message.Request) bool {
	switch {
	case c.kind == atPath:
		return r.Path == c.path
	case c.rpc != nil:
		return c.rpc.test(r) == none
	case c.kind == atPrefix:
		rest, ok := strings.CutPrefix(r.Path, c.path)
		return ok && (rest == "" || rest[0] == '/' || c.path == "")
	}
	return c.expression.matches(r.Path)
}

// outranked says which rule of precedence put won before c.
func outranked[A any](c, won *candidate[A]) string {
	name := fmt.Sprintf("rule %d of %s", won.rule.Index, won.route.config.Name)
	switch {
	case moreSpecific(won, c) != 0:
		return "less specific than " + name
	case won.route == c.route:
		return "as specific as " + name + ", which stands before it"
	case !won.route.config.Created.Equal(c.route.config.Created):
		return "as specific as " + name + ", which is older"
	}
	return "as specific as " + name + ", whose name comes first"
}
