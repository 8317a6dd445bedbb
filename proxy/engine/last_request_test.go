package engine_test

import (
	"testing"

	"github.com/sluicegateway/sluice/config"
)

// A request that is on its way when its listener goes is answered by the routes
// that the listener had, and not by there being none.
func TestLastRequestsOfAListenerKeepItsRoutes(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		idle, sending := g.dial(), g.dial()
		idle.send(get("/first"))
		idle.want(200, "hello /first")
		sending.send("GET /sent HTTP/1.1\nHost: a\n")

		g.apply(config.Delta{Removed: []config.Ref{
			{Kind: config.KindListener, Name: "default/gw/http"},
			{Kind: config.KindRoute, Name: "httproute/default/web"},
			{Kind: config.KindBackend, Name: "service/default/web:80"},
		}})
		idle.send(get("/crossing"))
		sending.send("\n")
		for c, want := range map[*client]string{idle: "hello /crossing", sending: "hello /sent"} {
			if r := c.want(200, want); !r.Close {
				g.Error("the last response does not say Connection: close")
			}
			c.wantClosed()
		}
	})
}
