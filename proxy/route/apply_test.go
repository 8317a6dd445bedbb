package route_test

import (
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/route"
)

// state is an Action that has an identity.
type state struct{ rule string }

func fresh(r *config.Route, rule *config.Rule) *state { return &state{name(r, rule)} }

func apply[A any](t testing.TB, table *route.Table[A], d *config.Delta, compile func(*config.Route, *config.Rule) A) *route.Table[A] {
	t.Helper()
	next, err := table.Apply(d, compile)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func found[A any](t testing.TB, table *route.Table[A], url string) *route.Rule[A] {
	t.Helper()
	var m route.Match[A]
	socket := table.Socket(anywhere)
	socket.Match(get(t, url), &m)
	return m.Rule
}

func TestApplyKeepsRulesOfUnchangedRoutes(t *testing.T) {
	listeners := []*config.Listener{listen("l", "")}
	a := func() *config.Route { return routeOf("a", one(prefix("/a"))) }
	b := func() *config.Route { return routeOf("b", one(prefix("/b"))) }
	first := apply(t, nil, &config.Delta{Reset: true, Listeners: listeners, Routes: []*config.Route{a(), b()}}, fresh)
	changed := b()
	changed.Rules[0].Backends = []config.BackendRef{{Backend: "service/default/web:80", Weight: 1}}
	deltas := map[string]*config.Delta{
		"another route":         {Routes: []*config.Route{changed}},
		"another route removed": {Removed: []config.Ref{{Kind: config.KindRoute, Name: b().Name}}},
		"an equal route":        {Routes: []*config.Route{a()}},
		"a reset":               {Reset: true, Listeners: listeners, Routes: []*config.Route{a()}},
		"the listener":          {Listeners: []*config.Listener{listen("l", "example.com")}},
		"another listener":      {Listeners: []*config.Listener{listen("m", "m.example")}},
	}
	for name, d := range deltas {
		t.Run(name, func(t *testing.T) {
			next := apply(t, first, d, fresh)
			if got, want := found(t, next, "/a"), found(t, first, "/a"); got != want {
				t.Errorf("the rule is another one")
			}
		})
	}
	next := apply(t, first, deltas["another route"], fresh)
	if found(t, next, "/b") == found(t, first, "/b") {
		t.Error("a changed route keeps its old rule")
	}
	if found(t, first, "/b").Route.Rules[0].Backends != nil {
		t.Error("the table before has the new rule")
	}
}

func TestApplyRemoves(t *testing.T) {
	l := listen("l", "")
	table := build(t, []*config.Listener{l}, routeOf("a", one(prefix("/a"))), routeOf("b", one(prefix("/b"))))
	without := apply(t, table, &config.Delta{Removed: []config.Ref{{Kind: config.KindRoute, Name: "httproute/default/a"}}}, name)
	if take(without, get(t, "/a")) != "" || take(without, get(t, "/b")) != "b/0" || take(table, get(t, "/a")) != "a/0" {
		t.Error("a removed route is still there, or another is gone, or the table before has changed")
	}
	silent := apply(t, table, &config.Delta{Removed: []config.Ref{{Kind: config.KindListener, Name: "l"}}}, name)
	if take(silent, get(t, "/a")) != "" {
		t.Error("a removed listener still serves")
	}
	again := apply(t, silent, &config.Delta{Listeners: []*config.Listener{l}}, name)
	if take(again, get(t, "/a")) != "a/0" {
		t.Error("a route is lost with its listener")
	}
	reset := apply(t, table, &config.Delta{Reset: true, Listeners: []*config.Listener{l}}, name)
	if take(reset, get(t, "/a")) != "" {
		t.Error("a reset keeps what it does not name")
	}
}

func TestApplyRouteBeforeItsListener(t *testing.T) {
	table := build(t, nil, routeOf("a", one(prefix("/"))))
	table = apply(t, table, &config.Delta{Listeners: []*config.Listener{listen("l", "")}}, name)
	if got := take(table, get(t, "/")); got != "a/0" {
		t.Errorf("takes %q", got)
	}
}

func TestApplyRouteAttachedTwice(t *testing.T) {
	r := routeOf("a", one(prefix("/")))
	r.Attachments = append(r.Attachments, r.Attachments[0])
	table := build(t, []*config.Listener{listen("l", "")}, r)
	if got := table.Shadowed(); len(got) != 0 {
		t.Errorf("a route shadows itself: %v", got)
	}
	table = apply(t, table, &config.Delta{Removed: []config.Ref{{Kind: config.KindRoute, Name: r.Name}}}, name)
	if got := take(table, get(t, "/")); got != "" {
		t.Errorf("a removed route takes %q", got)
	}
}

func TestApplyListenersMaySwapHostnames(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "l.example"), listen("m", "m.example")},
		at(routeOf("a", one(prefix("/"))), "l", ""))
	table = apply(t, table, &config.Delta{Listeners: []*config.Listener{listen("m", "l.example"), listen("l", "m.example")}}, name)
	if take(table, get(t, "m.example/")) != "a/0" || take(table, get(t, "l.example/")) != "" {
		t.Error("the listeners have not changed places")
	}
}

func TestApplyRefusesListenersThatCollide(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "x.example")}, routeOf("a", one(prefix("/"))))
	_, err := table.Apply(&config.Delta{Listeners: []*config.Listener{listen("m", "x.example")}}, name)
	if err == nil || !strings.Contains(err.Error(), `"l" and "m"`) {
		t.Errorf("error: %v", err)
	}
}

// A regular expression that is invalid hurts its own rule only.
func TestApplyInvalidExpression(t *testing.T) {
	for _, expression := range []string{"(", "a)|(b", "(?=x)", `\1`} {
		t.Run(expression, func(t *testing.T) {
			broken := header(prefix("/a"), "x", "y")
			broken.Headers[0] = config.ValueMatch{Name: "x", Value: expression, Regex: true}
			table := build(t, []*config.Listener{listen("l", "")},
				routeOf("r", []config.Match{regex(expression), broken, prefix("/b")}, one(prefix("/"))))
			if got := found(t, table, "/a"); got.Index != 1 || got.Rule.Fault != nil {
				t.Errorf("/a: rule %d, fault %v", got.Index, got.Rule.Fault)
			}
			if got := found(t, table, "/b"); got.Index != 0 || got.Rule.Fault == nil || got.Rule.Fault.Status != 500 {
				t.Errorf("/b: rule %d, fault %v", got.Index, got.Rule.Fault)
			}
		})
	}
}
