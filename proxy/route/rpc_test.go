package route_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
)

func TestRPCMatch(t *testing.T) {
	tests := []struct {
		match config.Match
		takes []string
		not   []string
	}{
		{rpc("shop.Cart", "Add"), []string{"POST /shop.Cart/Add", "POST /shop.Cart/Add?x"}, []string{"GET /shop.Cart/Add", "POST /shop.Cart/add", "POST /shop.Cart/Add/", "POST /shop.Cart"}},
		{rpc("shop.Cart", ""), []string{"POST /shop.Cart/Add", "POST /shop.Cart/Remove"}, []string{"GET /shop.Cart/Add", "POST /shop.Cart/", "POST /shop.Cart", "POST /shop.Cart/a/b", "POST /shop.Carts/Add"}},
		{rpc("", "Add"), []string{"POST /shop.Cart/Add", "POST /a/b/Add"}, []string{"GET /shop.Cart/Add", "POST /Add", "POST //Add"}},
		{rpc("", ""), []string{"POST /shop.Cart/Add", "POST /a/b/c"}, []string{"GET /shop.Cart/Add", "OPTIONS *", "POST /", "POST /a", "POST /a/"}},
		{rpcRegex("shop.*", "Get|List"), []string{"POST /shop.Cart/Get", "POST /shopping/List"}, []string{"POST /a.shop/Get", "POST /shop.Cart/GetAll", "GET /shop.Cart/Get"}},
		{rpcRegex("", "A.*"), []string{"POST /shop.Cart/Add"}, []string{"POST /shop.Cart/Get"}},
		{rpcRegex("shop.*", ""), []string{"POST /shop.Cart/Add"}, []string{"POST /Cart/Add"}},
	}
	for _, test := range tests {
		t.Run(test.match.String(), func(t *testing.T) {
			table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(test.match)))
			for _, line := range test.takes {
				if take(table, get(t, line)) != "r/0" {
					t.Errorf("does not take %s", line)
				}
			}
			for _, line := range test.not {
				if take(table, get(t, line)) != "" {
					t.Errorf("takes %s", line)
				}
			}
		})
	}
}

// Gateway API, GRPCRouteRule.matches: each match goes before the next, whatever
// the order in which they stand, and however old their routes are.
func TestRPCPrecedence(t *testing.T) {
	order := []config.Match{
		header(header(rpc("a.B", "Get"), "x", "1"), "y", "2"),
		header(rpc("a.B", "Get"), "x", "1"),
		rpc("a.B", "Get"),
		header(rpc("a.B", ""), "x", "1"),
		rpc("a.B", ""),
		rpcRegex("a.*", "G.*"),
		header(rpcRegex("a.*", ""), "x", "1"),
		rpcRegex("a.*", ""),
		rpc("", "Get"),
		rpcRegex("", "G.*"),
		header(rpc("", ""), "x", "1"),
		rpc("", ""),
	}
	request := get(t, "POST /a.B/Get", "x: 1", "y: 2")
	for i, first := range order {
		for _, then := range order[i+1:] {
			older := routeOf("older", one(then))
			older.Created = epoch.Add(-time.Hour)
			for _, routes := range [][]*config.Route{{older, routeOf("r", one(first))}, {routeOf("r", one(first)), older}} {
				if got := take(build(t, []*config.Listener{listen("l", "")}, routes...), request); got != "r/0" {
					t.Errorf("%s goes before %s: %q takes it", then.String(), first.String(), got)
				}
			}
		}
	}
}

func TestTraceOfRPC(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")}, routeOf("r",
		one(rpc("a.B", "Get")), one(rpc("a.B", "List")), one(rpc("a.C", "")), one(header(rpc("a.B", ""), "x", "1")),
		one(rpcRegex("a[.]C", "")), one(rpcRegex("", "L.*")), one(rpc("", "Set")), one(rpc("", "")), one(rpc("", ""))))
	got := lines(traced(table, get(t, "POST /a.B/Get")))[2:]
	want := []string{
		`r rule 0: WON`,
		`r rule 3: less specific than rule 0 of httproute/default/r`,
		`r rule 7: less specific than rule 0 of httproute/default/r`,
		`r rule 8: less specific than rule 0 of httproute/default/r`,
		`r rule 1: method is Get, not List`,
		`r rule 2: service is a.B, not a.C`,
		`r rule 4: service a.B does not match the expression "a[.]C"`,
		`r rule 6: method is Get, not Set`,
		`r rule 5: method Get does not match the expression "L.*"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	none := lines(traced(table, get(t, "GET /a.B/Get")))[2:]
	if len(none) != 9 || none[0] != `r rule 0: GET /a.B/Get calls no method of gRPC, which is POST /service/method` {
		t.Errorf("a request that is no call:\n%q", none)
	}
}
