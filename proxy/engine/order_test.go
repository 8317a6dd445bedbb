package engine_test

import (
	"sync"
	"testing"

	"github.com/sluicegateway/sluice/config"
)

// A route may leave a backend in the change that takes the backend's endpoints:
// no request may be caught between the two.
func TestRoutesLeaveBeforeTheirBackendIsEmptied(t *testing.T) {
	onBoth(t, func(g *gateway) {
		origin := g.origin(hello)
		names := []string{"service/default/blue:80", "service/default/green:80"}
		move := func(to, from string) config.Delta {
			return config.Delta{
				Routes: []*config.Route{route("httproute/default/web", config.Rule{
					Matches:  []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}},
					Backends: []config.BackendRef{{Backend: to, Weight: 1}},
				})},
				Backends: []*config.Backend{backend(to, origin), backend(from)},
			}
		}
		g.apply(move(names[0], names[1]))
		var asking sync.WaitGroup
		stop := make(chan bool)
		for range 4 {
			c := g.dial()
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c.send(get("/"))
					if r, _ := c.response("GET"); r.StatusCode != 200 {
						g.Errorf("got %d between two configurations", r.StatusCode)
						return
					}
				}
			})
		}
		for i := range 500 {
			g.apply(move(names[(i+1)%2], names[i%2]))
		}
		close(stop)
		asking.Wait()
	})
}
