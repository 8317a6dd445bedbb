package engine_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

// at is a listener on a free port that clients reach at another one.
func (g *gateway) at(name string, port uint16) (*config.Listener, netip.AddrPort) {
	g.Helper()
	addr := g.freeAddr()
	return &config.Listener{Name: name, Addresses: []netip.Addr{addr.Addr()}, Port: port, BindPort: addr.Port(), Protocol: config.ProtocolHTTP, Hostname: "web.example"}, addr
}

// attached routes everything of a listener by the rule.
func attached(name, listener string, rule config.Rule) *config.Route {
	rule.Matches = []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}}
	r := route(name, rule)
	r.Attachments[0].Listener = listener
	return r
}

// Listeners with the same port and hostname that bind different ports share
// nothing; what clients and backends are told is the port of the clients.
func TestBindPortsKeepGatewaysApart(t *testing.T) {
	inBubble(t, func(g *gateway) {
		one, first := g.at("default/one/http", 8080)
		two, second := g.at("default/two/http", 8080)
		origin := g.origin(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Seen", r.Header.Get("X-Forwarded-Port"))
		})
		g.apply(config.Delta{
			Listeners: []*config.Listener{one, two},
			Routes: []*config.Route{
				attached("httproute/default/one", one.Name, config.Rule{Backends: []config.BackendRef{{Backend: "service/default/web:80", Weight: 1}}}),
				attached("httproute/default/two", two.Name, config.Rule{Filters: config.Filters{Redirect: &config.Redirect{Status: 302, Hostname: "other.example"}}}),
			},
			Backends: []*config.Backend{backend("service/default/web:80", origin)},
		})
		g.addr = first
		c := g.dial()
		c.send(get("/"))
		if r := c.want(200, ""); r.Header.Get("Seen") != "8080" {
			g.Errorf("X-Forwarded-Port is %q", r.Header.Get("Seen"))
		}
		g.addr = second
		c = g.dial()
		c.send(get("/"))
		if r := c.want(302, ""); r.Header.Get("Location") != "http://other.example:8080/" {
			g.Errorf("Location is %q", r.Header.Get("Location"))
		}
	})
}

// A connection cannot tell which of two ports it was led from.
func TestPortsDoNotShareABindPort(t *testing.T) {
	inBubble(t, func(g *gateway) {
		one, addr := g.at("default/gw/a", 80)
		two := *one
		two.Name, two.Port, two.Hostname = "default/gw/b", 8080, "other.example"
		report := g.engine.Apply(&config.Delta{Version: 1, Listeners: []*config.Listener{one, &two}})
		if err := report.Listeners[two.Name]; report.Listeners[one.Name] != nil || err == nil || !strings.Contains(err.Error(), addr.String()) {
			g.Errorf("the report is %v", report.Listeners)
		}
		report = g.engine.Apply(&config.Delta{Version: 2, Removed: []config.Ref{{Kind: config.KindListener, Name: one.Name}}})
		if err := report.Listeners[two.Name]; err != nil {
			g.Errorf("alone: %v", err)
		}
	})
}
