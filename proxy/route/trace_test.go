package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

func traced(table *route.Table[string], r *message.Request) *route.Trace {
	m := route.Match[string]{Trace: new(route.Trace)}
	socket := table.Socket(anywhere)
	socket.Match(r, &m)
	return m.Trace
}

// lines is a trace in short.
func lines(t *route.Trace) []string {
	var all []string
	verdict := func(won bool, reason string) string {
		if won {
			return "WON" + reason
		}
		return reason
	}
	for _, l := range t.Listeners {
		all = append(all, fmt.Sprintf("listener %s: %s", l.Listener, verdict(l.Won, l.Reason)))
	}
	for _, h := range t.Hostnames {
		all = append(all, fmt.Sprintf("hostname %q: %s", h.Hostname, verdict(h.Won, h.Reason)))
	}
	for _, c := range t.Candidates {
		all = append(all, fmt.Sprintf("%s rule %d: %s", c.Route[strings.LastIndexByte(c.Route, '/')+1:], c.Rule, verdict(c.Won, c.Reason)))
	}
	return all
}

func TestTrace(t *testing.T) {
	expression := prefix("/cart")
	expression.Headers = []config.ValueMatch{{Name: "env", Value: "can.*", Regex: true}}
	older := routeOf("older", one(prefix("/")))
	older.Created = epoch.AddDate(-1, 0, 0)
	table := build(t,
		[]*config.Listener{listen("l", ""), listen("shop", "*.example"), listen("other", "other.example")},
		at(routeOf("any", one(prefix("/"))), "l", ""),
		at(older, "shop", "shop.example"),
		at(routeOf("wild", one(prefix("/"))), "shop", "*.example"),
		at(routeOf("web",
			one(exact("/checkout")),
			one(exact("/cart")),
			one(regex("/c[0-9]+")),
			one(method(prefix("/cart"), "POST")),
			one(expression),
			one(query(header(prefix("/cart"), "env", "canary"), "v", "2")),
			one(query(prefix("/cart"), "v", "2")),
			one(prefix("/cart")),
			one(prefix("/cart")),
			one(prefix("/")),
		), "shop", "shop.example"))

	got := lines(traced(table, get(t, "shop.example:80/cart/1?v=1", "env: prod", "env: test")))
	want := []string{
		`listener shop: WON`,
		`listener l: less specific than shop`,
		`listener other: hostname other.example does not cover "shop.example"`,
		`hostname "shop.example": WON`,
		`hostname "*.example": less specific than shop.example`,
		`web rule 2: path /cart/1 does not match the expression /c[0-9]+`,
		`web rule 3: method is GET, not POST`,
		`web rule 5: header env is "prod, test", not "canary"`,
		`web rule 4: header env is "prod, test", which does not match the expression "can.*"`,
		`web rule 6: query parameter v is "1", not "2"`,
		`web rule 7: WON`,
		`web rule 8: as specific as rule 7 of httproute/default/web, which stands before it`,
		`older rule 0: less specific than rule 7 of httproute/default/web`,
		`web rule 9: less specific than rule 7 of httproute/default/web`,
		`web rule 0: path is /cart/1, not /checkout`,
		`web rule 1: path is /cart/1, not /cart`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	got = lines(traced(table, get(t, "shop.example/")))
	if want := `web rule 9: as specific as rule 0 of httproute/default/older, which is older`; !strings.Contains(strings.Join(got, "\n"), want) {
		t.Errorf("no line %q in\n%s", want, strings.Join(got, "\n"))
	}
	got = lines(traced(table, get(t, "other.example/")))
	if want := []string{"listener other: WON", "listener l: less specific than other", "listener shop: less specific than other"}; cmp.Diff(want, got) != "" {
		t.Errorf("a listener without routes:\n%s", cmp.Diff(want, got))
	}
}

func TestTraceNothingMatches(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "a.example"), listen("m", "*.m.example")},
		at(routeOf("r", one(header(prefix("/a"), "x", "1"))), "l", "a.example"),
		at(routeOf("s", one(prefix("/"))), "m", "a.m.example", "b.m.example"))
	got := lines(traced(table, get(t, "b.example/")))
	want := []string{
		`listener l: hostname a.example does not cover "b.example"`,
		`listener m: hostname *.m.example does not cover "b.example"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another host (-want +got)\n%s", diff)
	}
	got = lines(traced(table, get(t, "c.m.example/")))
	want = []string{
		`listener m: WON`,
		`listener l: hostname a.example does not cover "c.m.example"`,
		`hostname "a.m.example": hostname a.m.example does not cover "c.m.example"`,
		`hostname "b.m.example": hostname b.m.example does not cover "c.m.example"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another hostname of a listener (-want +got)\n%s", diff)
	}
	got = lines(traced(table, get(t, "a.example/a")))
	want = []string{"listener l: WON", `listener m: hostname *.m.example does not cover "a.example"`, `hostname "a.example": WON`, "r rule 0: header x is absent"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another header (-want +got)\n%s", diff)
	}
}

func TestTraceConditions(t *testing.T) {
	m := query(header(method(prefix("/cart"), "GET"), "env", "canary"), "v", "2")
	m.Query[0].Regex = true
	table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(m)))
	want := `PathPrefix /cart, method GET, header env = "canary", query v ~ "2"`
	if got := traced(table, get(t, "/")).Candidates[0].Conditions; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestTraceIsBounded(t *testing.T) {
	var rules [][]config.Match
	for i := range 5 * route.MaxTraced {
		rules = append(rules, one(header(prefix("/"), "x", fmt.Sprint(i))))
	}
	rules = append(rules, one(prefix("/")))
	table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", rules...))
	trace := traced(table, get(t, "/", "x: "+strings.Repeat("é", 10_000)))
	if len(trace.Candidates) != route.MaxTraced+1 || trace.Omitted != 4*route.MaxTraced {
		t.Errorf("%d candidates, %d omitted", len(trace.Candidates), trace.Omitted)
	}
	if last := trace.Candidates[len(trace.Candidates)-1]; !last.Won {
		t.Error("the winner is left out")
	}
	if n := len(trace.Candidates[0].Reason); n > 300 {
		t.Errorf("a reason of %d bytes", n)
	}
}

func TestTraceOfManyListenersIsBounded(t *testing.T) {
	var listeners []*config.Listener
	for i := range 3 * route.MaxTraced {
		listeners = append(listeners, listen(fmt.Sprint("l", i), fmt.Sprintf("l%d.example", i)))
	}
	trace := traced(build(t, listeners), get(t, "l9.example/"))
	if len(trace.Listeners) != route.MaxTraced || trace.Omitted != 2*route.MaxTraced || trace.Listeners[0].Listener != "l9" {
		t.Errorf("%d listeners, %d omitted, first %v", len(trace.Listeners), trace.Omitted, trace.Listeners[0])
	}
}
