package route_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
)

func TestShadowed(t *testing.T) {
	a := header(prefix("/a"), "x", "1")
	tests := []struct {
		name   string
		routes []*config.Route
		want   []string
	}{
		{"distinct paths", []*config.Route{routeOf("r", one(prefix("/a")), one(prefix("/a/b")), one(exact("/a")))}, nil},
		{"equal rules", []*config.Route{routeOf("r", one(prefix("/a")), one(prefix("/a/")))}, []string{"r/1 by r/0"}},
		{"an older route", []*config.Route{routeOf("s", one(prefix("/a"))), routeOf("r", one(prefix("/a")))}, []string{"s/0 by r/0"}},
		{"a more general match goes later", []*config.Route{routeOf("r", one(prefix("/a")), one(a))}, nil},
		{"a more general match with a method goes first", []*config.Route{routeOf("r",
			one(method(a, "GET")), one(method(prefix("/a"), "GET")), one(a))}, nil},
		{"a method goes before headers", []*config.Route{routeOf("r",
			one(method(header(a, "y", "2"), "GET")), one(method(a, "GET")), one(method(query(a, "q", "1"), "POST")))}, nil},
		{"equal headers in another order", []*config.Route{routeOf("r",
			one(header(header(prefix("/"), "y", "2"), "x", "1")), one(header(header(prefix("/"), "x", "1"), "y", "2")))}, []string{"r/1 by r/0"}},
		{"equal expressions", []*config.Route{routeOf("r", one(regex("/a.*")), one(regex("/a.*")))}, []string{"r/1 by r/0"}},
		{"an expression for every path", []*config.Route{routeOf("r", one(regex("/.*")), one(prefix("/a")), one(exact("/b")))}, []string{"r/1 by r/0"}},
		{"an expression for every path with a header", []*config.Route{routeOf("r", one(header(regex("/.*"), "x", "1")), one(prefix("/a")), one(a))}, []string{"r/2 by r/0"}},
		{"a service and its methods", []*config.Route{routeOf("r", one(rpc("a", "")), one(rpc("a", "b")), one(rpc("", "b")), one(rpc("", "")))}, nil},
		{"equal methods", []*config.Route{routeOf("r", one(rpc("a", "b")), one(header(rpc("a", "b"), "x", "1")), one(rpc("a", "b")))}, []string{"r/2 by r/0"}},
		{"equal services", []*config.Route{routeOf("r", one(rpc("a", "")), one(rpc("a", "")))}, []string{"r/1 by r/0"}},
		{"an expression for every method", []*config.Route{routeOf("r", one(rpc("", "a")), one(rpcRegex(".*", ".*")), one(rpcRegex("a", "")), one(rpc("", "")))}, []string{"r/0 by r/1", "r/2 by r/1", "r/3 by r/1"}},
		{"other hostnames", []*config.Route{at(routeOf("r", one(prefix("/"))), "l", "a.example"), at(routeOf("s", one(prefix("/"))), "l", "b.example")}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range build(t, []*config.Listener{listen("l", "")}, test.routes...).Shadowed() {
				if s.Listener != "l" {
					t.Errorf("listener %q", s.Listener)
				}
				short := func(route string) string { return route[len("httproute/default/"):] }
				got = append(got, fmt.Sprintf("%s/%d by %s/%d", short(s.Match.Route), s.Match.Rule, short(s.By.Route), s.By.Rule))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
