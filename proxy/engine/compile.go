package engine

import (
	"maps"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// compiler turns rules into actions.
type compiler struct {
	backends *upstream.Backends
	metrics  *observe.Metrics
	workers  int
	routes   map[string]bool // those that have metrics
}

// action compiles one rule.
func (c *compiler) action(route *config.Route, rule *config.Rule) *proxy.Action {
	c.routes[route.Name] = true
	a := &proxy.Action{
		Fault:    rule.Fault,
		Filters:  filter.Compile(&rule.Filters),
		Mirrors:  c.mirrors(&rule.Filters),
		Timeouts: rule.Timeouts,
		Retry:    rule.Retry,
		Metrics:  c.metrics.Route(route.Name),
		GRPC:     route.GRPC,
	}
	weights := make([]int32, len(rule.Backends))
	for i := range rule.Backends {
		ref := &rule.Backends[i]
		weights[i] = ref.Weight
		t := proxy.Target{Fault: ref.Fault, Filters: filter.Compile(&ref.Filters), Mirrors: c.mirrors(&ref.Filters)}
		if ref.Fault == nil {
			t.Backend = c.backends.Backend(ref.Backend)
		}
		a.Targets = append(a.Targets, t)
	}
	a.Split = upstream.NewSplit(weights, c.workers)
	return a
}

func (c *compiler) mirrors(f *config.Filters) []proxy.Mirror {
	var all []proxy.Mirror
	for i := range f.Mirrors {
		m := &f.Mirrors[i]
		all = append(all, proxy.Mirror{Backend: c.backends.Backend(m.Backend), Sample: filter.NewSample(m, c.workers)})
	}
	return all
}

// dropMetrics ends the series of routes that are gone.
func (c *compiler) dropMetrics(d *config.Delta) {
	gone := make(map[string]bool)
	if d.Reset {
		maps.Copy(gone, c.routes)
	}
	for _, ref := range d.Removed {
		if ref.Kind == config.KindRoute {
			gone[ref.Name] = true
		}
	}
	for _, r := range d.Routes {
		delete(gone, r.Name)
	}
	for name := range gone {
		delete(c.routes, name)
		c.metrics.RemoveRoute(name)
	}
}
