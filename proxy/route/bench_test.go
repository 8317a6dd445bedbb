package route_test

import (
	"fmt"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// layouts are two ways to spread n routes. Each gives the nth route and a request for it.
var layouts = map[string]struct {
	route   func(i int) *config.Route
	request func(t testing.TB, i int) *message.Request
}{
	"hostnames": {
		func(i int) *config.Route {
			return at(routeOf(fmt.Sprint("r", i), one(prefix("/api")), one(exact("/healthz")), one(prefix("/"))),
				"l", fmt.Sprintf("host-%d.example.com", i))
		},
		func(t testing.TB, i int) *message.Request {
			return get(t, fmt.Sprintf("host-%d.example.com/api/v1/items/42?x=1", i), "user-agent: curl", "accept: */*")
		},
	},
	"paths": {
		func(i int) *config.Route {
			return at(routeOf(fmt.Sprint("r", i), one(header(prefix(fmt.Sprintf("/svc-%d", i)), "env", "canary")),
				one(prefix(fmt.Sprintf("/svc-%d", i)))), "l", "www.example.com")
		},
		func(t testing.TB, i int) *message.Request {
			return get(t, fmt.Sprintf("www.example.com/svc-%d/v1/items/42?x=1", i), "user-agent: curl", "accept: */*", "env: prod")
		},
	},
}

var sizes = []int{10, 1_000, 10_000}

func tableOf(t testing.TB, layout string, n int) *route.Table[string] {
	routes := make([]*config.Route, n)
	for i := range routes {
		routes[i] = layouts[layout].route(i)
	}
	return build(t, []*config.Listener{listen("l", "")}, routes...)
}

func forEach(b *testing.B, run func(b *testing.B, layout string, n int)) {
	for layout := range layouts {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s=%d", layout, n), func(b *testing.B) {
				b.ReportAllocs()
				run(b, layout, n)
			})
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	forEach(b, func(b *testing.B, layout string, n int) {
		table := tableOf(b, layout, n)
		requests := make([]*message.Request, 64)
		for i := range requests {
			requests[i] = layouts[layout].request(b, i*n/len(requests))
		}
		var m route.Match[string]
		for i := 0; b.Loop(); i++ {
			socket := table.Socket(anywhere)
			if !socket.Match(requests[i%len(requests)], &m) {
				b.Fatal("no match")
			}
		}
	})
}

// BenchmarkApply changes one route.
func BenchmarkApply(b *testing.B) {
	forEach(b, func(b *testing.B, layout string, n int) {
		table := tableOf(b, layout, n)
		for i := 0; b.Loop(); i++ {
			changed := layouts[layout].route(i % n)
			changed.Rules[0].Backends = []config.BackendRef{{Weight: int32(i + 1)}}
			table = apply(b, table, &config.Delta{Routes: []*config.Route{changed}}, name)
		}
	})
}

// BenchmarkBuild makes a whole table.
func BenchmarkBuild(b *testing.B) {
	forEach(b, func(b *testing.B, layout string, n int) {
		for b.Loop() {
			tableOf(b, layout, n)
		}
	})
}

// Matching allocates nothing, whatever it looks at.
func TestMatchAllocatesNothing(t *testing.T) {
	conditions := query(header(prefix("/svc"), "env", "prod"), "a b", "c/d")
	conditions.Headers = append(conditions.Headers, config.ValueMatch{Name: "version", Value: "v[0-9]+", Regex: true})
	table := build(t, []*config.Listener{listen("l", "*.example")},
		at(routeOf("r", one(conditions), one(regex("/x/[0-9]+")), one(exact("/e"))), "l", "*.b.example"))
	for _, r := range []*message.Request{
		get(t, "a.b.example:8080/svc/1?x&a+b=c%2Fd", "Env: prod", "Version: v2"),
		get(t, "a.b.example/x/12"),
		get(t, "a.b.example/e"),
		get(t, "a.b.example/none"),
		get(t, "other/none"),
	} {
		var m route.Match[string]
		allocs := testing.AllocsPerRun(100, func() {
			socket := table.Socket(anywhere)
			socket.Match(r, &m)
		})
		if allocs != 0 {
			t.Errorf("%s%s: %v allocations", r.Authority, r.Path, allocs)
		}
	}
}
