package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/message"
)

// shop has a canary by header beside a split, and a redirect.
func shop() *config.Delta {
	prefix := func(path string, headers ...config.ValueMatch) []config.Match {
		return []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: path}, Headers: headers}}
	}
	return &config.Delta{
		Version:   1,
		Reset:     true,
		Listeners: []*config.Listener{{Name: "default/gw/http", Port: 8080, Protocol: config.ProtocolHTTP}},
		Backends: []*config.Backend{
			backend("service/default/v1:80", netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")),
			backend("service/default/v2:80"),
		},
		Routes: []*config.Route{route("httproute/default/shop",
			config.Rule{
				Matches:  prefix("/cart"),
				Filters:  config.Filters{Rewrite: &config.Rewrite{Path: &config.PathModifier{Prefix: true, Replacement: "/basket"}}},
				Backends: []config.BackendRef{{Backend: "service/default/v1:80", Weight: 3}, {Backend: "service/default/v2:80", Weight: 1}},
			},
			config.Rule{
				Matches:  prefix("/cart", config.ValueMatch{Name: "env", Value: "canary"}),
				Backends: []config.BackendRef{{Backend: "service/default/v2:80", Weight: 1}},
			},
			config.Rule{Matches: prefix("/old"), Filters: config.Filters{Redirect: &config.Redirect{Hostname: "new.example", Status: 301}}},
		)},
	}
}

func explain(t *testing.T, path string, fields ...message.Field) *engine.Explanation {
	t.Helper()
	r := &message.Request{Method: "GET", Authority: "shop.example", Path: path, Major: 1, Minor: 1, Header: message.Header{Fields: fields}}
	x, err := engine.Explain(shop(), netip.AddrPortFrom(netip.Addr{}, 8080), r)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExplainTellsSharesAndEndpoints(t *testing.T) {
	x := explain(t, "/cart/1")
	if x.Rule == nil || x.Rule.Rule != 0 {
		t.Fatalf("rule %v", x.Rule)
	}
	if len(x.Backends) != 2 || x.Backends[0].Percent != 75 || x.Backends[1].Percent != 25 {
		t.Fatalf("backends %+v", x.Backends)
	}
	if want := []string{"10.0.0.1:80", "10.0.0.2:80"}; !slices.Equal(x.Backends[0].Endpoints, want) {
		t.Errorf("endpoints %v, want %v", x.Backends[0].Endpoints, want)
	}
	if got := x.Backends[0].Request[0]; got != "GET /basket/1" {
		t.Errorf("the backend gets %q", got)
	}
	if x.Backends[1].Status != 503 {
		t.Errorf("a backend without endpoints answers %d", x.Backends[1].Status)
	}
}

func TestExplainTellsWhyOthersLost(t *testing.T) {
	x := explain(t, "/cart", message.Field{Name: "Env", Value: "prod"})
	for _, c := range x.Search.Candidates {
		if c.Rule == 1 && !strings.Contains(c.Reason, `header env is "prod", not "canary"`) {
			t.Errorf("the canary lost because: %s", c.Reason)
		}
	}
	if x = explain(t, "/cart", message.Field{Name: "Env", Value: "canary"}); x.Rule.Rule != 1 {
		t.Errorf("rule %d won", x.Rule.Rule)
	}
}

func TestExplainTellsTheProxysOwnAnswers(t *testing.T) {
	if x := explain(t, "/old/page"); x.Status != 301 || x.Response[0].Value != "http://new.example:8080/old/page" {
		t.Errorf("%d %v", x.Status, x.Response)
	}
	if x := explain(t, "/else"); x.Status != 404 || x.Rule != nil {
		t.Errorf("%d %v", x.Status, x.Rule)
	}
}
