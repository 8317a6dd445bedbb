package route_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// oracleMatch is one match of one rule.
type oracleMatch struct {
	route *config.Route
	rule  int
	match *config.Match
}

// oracle reads the specification naively: sort everything, scan everything.
func oracle(listeners []*config.Listener, routes []*config.Route, bind netip.Addr, r *message.Request) string {
	host, _, _ := strings.Cut(r.Authority, ":")
	var l *config.Listener
	for _, candidate := range listeners {
		own := slices.Contains(candidate.Addresses, bind)
		if !covers(candidate.Hostname, host) || !own && len(candidate.Addresses) > 0 {
			continue
		}
		if l == nil || len(candidate.Hostname) > len(l.Hostname) && !isExact(l.Hostname) || isExact(candidate.Hostname) && !isExact(l.Hostname) ||
			own && candidate.Hostname == l.Hostname {
			l = candidate
		}
	}
	if l == nil {
		return ""
	}
	best, found := "", false
	for _, hostname := range attached(routes, l) {
		if covers(hostname, host) && (!found || !isExact(best) && (isExact(hostname) || len(hostname) > len(best))) {
			best, found = hostname, true
		}
	}
	var all []oracleMatch
	for _, rt := range routes {
		if slices.Contains(attached([]*config.Route{rt}, l), best) {
			for i := range rt.Rules {
				for j := range rt.Rules[i].Matches {
					all = append(all, oracleMatch{rt, i, &rt.Rules[i].Matches[j]})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b oracleMatch) int {
		return cmp.Or(
			slices.Compare(ranks(b.match), ranks(a.match)),
			-cmp.Compare(min(len(a.match.Method), 1), min(len(b.match.Method), 1)),
			-cmp.Compare(len(a.match.Headers), len(b.match.Headers)),
			-cmp.Compare(len(a.match.Query), len(b.match.Query)),
			a.route.Created.Compare(b.route.Created),
			cmp.Compare(a.route.Name, b.route.Name),
		)
	})
	for _, m := range all {
		if holds(m.match, r) {
			return fmt.Sprintf("%s/%d on %s at %q", m.route.Name, m.rule, l.Name, best)
		}
	}
	return ""
}

func isExact(hostname string) bool { return hostname != "" && hostname[0] != '*' }

func covers(hostname, host string) bool {
	suffix, wild := strings.CutPrefix(hostname, "*")
	return hostname == "" || hostname == host || wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix)
}

func attached(routes []*config.Route, l *config.Listener) (hostnames []string) {
	for _, r := range routes {
		for _, a := range r.Attachments {
			if a.Listener == l.Name {
				hostnames = append(hostnames, a.Hostnames...)
			}
		}
	}
	return hostnames
}

// ranks are the numbers of characters; an expression counts as half of one.
func ranks(m *config.Match) []float64 {
	if m.RPC != nil {
		var both []float64
		for _, name := range []string{m.RPC.Service, m.RPC.Method} {
			if n := len(name); n > 0 && m.RPC.Regex {
				both = append(both, 0.5)
			} else {
				both = append(both, float64(n))
			}
		}
		return both
	}
	switch m.Path.Type {
	case config.PathExact:
		return []float64{1 << 20}
	case config.PathRegex:
		return []float64{1 << 19}
	}
	return []float64{float64(len(strings.TrimSuffix(m.Path.Value, "/")))}
}

func holds(m *config.Match, r *message.Request) bool {
	if m.RPC != nil && !holdsRPC(m.RPC, r) {
		return false
	}
	elements, want := strings.Split(r.Path, "/"), strings.Split(strings.TrimSuffix(m.Path.Value, "/"), "/")
	switch {
	case m.Path.Type == config.PathExact && r.Path != m.Path.Value,
		m.Path.Type == config.PathRegex && !whole(m.Path.Value, r.Path),
		m.Path.Type == config.PathPrefix && (len(elements) < len(want) || !slices.Equal(elements[:len(want)], want)),
		m.Method != "" && m.Method != r.Method:
		return false
	}
	for _, h := range m.Headers {
		var values []string
		for _, f := range r.Header.Fields {
			if strings.EqualFold(f.Name, h.Name) {
				values = append(values, f.Value)
			}
		}
		if values == nil || !equal(h, strings.Join(values, ", ")) {
			return false
		}
	}
	parameters, _ := url.ParseQuery(r.Query)
	for _, q := range m.Query {
		if !parameters.Has(q.Name) || !equal(q, parameters.Get(q.Name)) {
			return false
		}
	}
	return true
}

func holdsRPC(m *config.RPCMatch, r *message.Request) bool {
	parts := regexp.MustCompile("^/(.+)/([^/]+)$").FindStringSubmatch(r.Path)
	if r.Method != "POST" || parts == nil {
		return false
	}
	for i, name := range []string{m.Service, m.Method} {
		if name != "" && !equal(config.ValueMatch{Value: name, Regex: m.Regex}, parts[i+1]) {
			return false
		}
	}
	return true
}

func equal(m config.ValueMatch, value string) bool {
	return !m.Regex && m.Value == value || m.Regex && whole(m.Value, value)
}

func whole(expression, value string) bool {
	return regexp.MustCompile("^(?:" + expression + ")$").MatchString(value)
}

// world makes random configurations and requests from few words, so that they meet often.
type world struct {
	*rand.Rand
	// grpc has all routes be of gRPC: at one hostname there is one kind.
	grpc bool
}

func someWorld(seed uint64) world { return world{rand.New(rand.NewPCG(seed, 0)), seed%2 == 1} }

func pick[T any](w world, of ...T) T { return of[w.IntN(len(of))] }

func (w world) path() string {
	path := ""
	for range w.IntN(4) {
		path += "/" + pick(w, "a", "b", "ab", "c")
	}
	if path == "" || w.IntN(4) == 0 {
		path += "/"
	}
	return path
}

func (w world) values(names ...string) (values []config.ValueMatch) {
	for _, name := range names {
		switch w.IntN(6) {
		case 0:
			values = append(values, config.ValueMatch{Name: name, Value: pick(w, "1", "2", "1, 2")})
		case 1:
			values = append(values, config.ValueMatch{Name: name, Value: pick(w, "1|2", "[0-9]", ".*2"), Regex: true})
		}
	}
	return values
}

func (w world) rpcMatch() config.Match {
	m := config.Match{RPC: &config.RPCMatch{Service: pick(w, "", "a", "b", "a/b"), Method: pick(w, "", "a", "b")}, Headers: w.values("x", "y")}
	if w.IntN(3) == 0 {
		m.RPC = &config.RPCMatch{Service: pick(w, "", ".*", "a|b", "a/.+"), Method: pick(w, "", ".*", "[ab]"), Regex: true}
	}
	return m
}

func (w world) match() config.Match {
	if w.grpc {
		return w.rpcMatch()
	}
	m := config.Match{
		Method:  pick(w, "", "", "", "GET", "POST"),
		Headers: w.values("x", "y"),
		Query:   w.values("p", "q"),
	}
	switch w.IntN(4) {
	case 0:
		m.Path = config.PathMatch{Type: config.PathExact, Value: w.path()}
	case 1:
		m.Path = config.PathMatch{Type: config.PathRegex, Value: pick(w, "/.*", "/a/.+", "(/[a-z])+", "/ab|/a/b")}
	default:
		m.Path = config.PathMatch{Type: config.PathPrefix, Value: w.path()}
	}
	return m
}

var (
	someHostnames = []string{"", "*.example", "*.b.example", "a.example", "a.b.example", "b.example"}
	someAddresses = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
)

func (w world) listener() *config.Listener {
	hostname := pick(w, someHostnames...)
	if w.IntN(2) == 0 {
		address := pick(w, someAddresses...)
		return listen("on "+address.String()+" "+hostname, hostname, address)
	}
	return listen("on all "+hostname, hostname)
}

func (w world) route() *config.Route {
	r := &config.Route{
		GRPC:    w.grpc,
		Name:    "httproute/" + pick(w, "n", "n-2") + "/" + pick(w, "r", "s", "t", "u", "v"),
		Created: epoch.Add(time.Duration(w.IntN(3)) * time.Second),
	}
	for range 1 + w.IntN(3) {
		a := config.Attachment{Listener: w.listener().Name, Hostnames: []string{pick(w, someHostnames...)}}
		if w.IntN(2) == 0 {
			a.Hostnames = append(a.Hostnames, pick(w, someHostnames...))
		}
		r.Attachments = append(r.Attachments, a)
	}
	for i := range 1 + w.IntN(3) {
		rule := config.Rule{Name: fmt.Sprint(i)}
		for range 1 + w.IntN(3) {
			rule.Matches = append(rule.Matches, w.match())
		}
		r.Rules = append(r.Rules, rule)
	}
	return r
}

func (w world) request() *message.Request {
	r := &message.Request{
		Method:    pick(w, "GET", "POST", "POST"),
		Authority: pick(w, "a.example", "a.b.example", "b.example", "c.b.example", "example", "x.org", "a.example:8080"),
		Path:      w.path(),
	}
	for _, name := range []string{"x", "Y", "X"} {
		if w.IntN(2) == 0 {
			r.Header.Add(name, pick(w, "1", "2", "3"))
		}
	}
	r.Query = pick(w, "", "p=1", "q=2&p=1", "p=%31&p=2", "q=1%2C+2", "p", "p=3&q=1")
	return r
}

// delta changes what is in force, and the maps with it.
func (w world) delta(listeners map[string]*config.Listener, routes map[string]*config.Route) *config.Delta {
	d := &config.Delta{Reset: w.IntN(10) == 0}
	if d.Reset {
		clear(listeners)
		clear(routes)
	}
	for name := range listeners {
		if w.IntN(8) == 0 {
			d.Removed = append(d.Removed, config.Ref{Kind: config.KindListener, Name: name})
			delete(listeners, name)
		}
	}
	for name := range routes {
		if w.IntN(8) == 0 {
			d.Removed = append(d.Removed, config.Ref{Kind: config.KindRoute, Name: name})
			delete(routes, name)
		}
	}
	for range w.IntN(4) {
		l := w.listener()
		listeners[l.Name] = l
		d.Listeners = append(d.Listeners, l)
	}
	for range w.IntN(4) {
		r := w.route()
		routes[r.Name] = r
		d.Routes = append(d.Routes, r)
	}
	return d
}

// Random sequences of deltas: after each, the table that they lead to, and one
// built at once from what is in force, find what the oracle finds.
func TestAgainstOracle(t *testing.T) {
	served := 0
	for seed := range uint64(40) {
		w := someWorld(seed)
		listeners, routes := map[string]*config.Listener{}, map[string]*config.Route{}
		var incremental *route.Table[string]
		for step := range 20 {
			incremental = apply(t, incremental, w.delta(listeners, routes), name)
			ls, rs := slices.Collect(maps.Values(listeners)), slices.Collect(maps.Values(routes))
			full := build(t, ls, rs...)
			for range 20 {
				r, bind := w.request(), pick(w, append(someAddresses, netip.IPv6Unspecified())...)
				want := oracle(ls, rs, bind, r)
				if want != "" {
					served++
				}
				for kind, table := range map[string]*route.Table[string]{"incremental": incremental, "full": full} {
					if got := outcome(table, bind, r); got != want {
						t.Fatalf("seed %d, step %d, %s table:\n%+v\nfinds %q, want %q", seed, step, kind, r, got, want)
					}
				}
			}
		}
	}
	if served == 0 {
		t.Error("no request is served")
	}
}

func outcome(table *route.Table[string], bind netip.Addr, r *message.Request) string {
	var m, traced route.Match[string]
	traced.Trace = new(route.Trace)
	socket := table.Socket(netip.AddrPortFrom(bind, port))
	socket.Match(r, &m)
	if socket.Match(r, &traced); traced.Rule != m.Rule {
		return "another rule when traced"
	}
	if m.Rule == nil {
		return ""
	}
	return fmt.Sprintf("%s/%d on %s at %q", m.Rule.Route.Name, m.Rule.Index, m.Listener.Name, m.Hostname)
}
