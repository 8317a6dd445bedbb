package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

// Of two listeners for the same requests the one that serves goes on, the other
// takes over when it goes, and whatever else the delta has is in force.
func TestListenersThatCollideHurtOnlyOne(t *testing.T) {
	inBubble(t, func(g *gateway) {
		g.serve(g.origin(hello), config.Rule{})
		other := g.listener()
		other.Name = "default/another/http" // the lesser name, but it comes later
		report := g.engine.Apply(&config.Delta{
			Version:   2,
			Listeners: []*config.Listener{other},
			Routes: []*config.Route{{Name: "httproute/default/other", Attachments: []config.Attachment{{Listener: other.Name, Hostnames: []string{""}}},
				Rules: []config.Rule{{Matches: []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}}, Filters: config.Filters{Redirect: &config.Redirect{Status: 302}}}}}},
		})
		if report.Version != 2 || report.Listeners["default/gw/http"] != nil || report.Listeners[other.Name] == nil {
			g.Fatalf("the report is %v", report)
		}
		c := g.dial()
		c.send(get("/"))
		c.want(200, "hello /")

		report = g.engine.Apply(&config.Delta{Version: 3, Removed: []config.Ref{{Kind: config.KindListener, Name: "default/gw/http"}}})
		if _, there := report.Listeners["default/gw/http"]; there || report.Listeners[other.Name] != nil {
			g.Fatalf("the report is %v", report)
		}
		c = g.dial()
		c.send(get("/"))
		c.want(302, "")
	})
}

// A whole configuration takes the place of the one before, also its metrics.
func TestResetForgetsWhatItDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := observe.NewMetrics(1, nil)
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Metrics: metrics})
		g.serve(g.origin(hello), config.Rule{})
		c := g.dial()
		c.send(get("/"))
		c.want(200, "hello /")
		synctest.Wait() // a request is counted after its response
		before := series(metrics)
		g.apply(config.Delta{Reset: true, Listeners: []*config.Listener{g.listener()}})
		if after := series(metrics); after >= before {
			t.Errorf("%d series were there with a route, %d without", before, after)
		}
		c.send(get("/"))
		c.want(404, "404 Not Found\n")
	})
}

// series counts what is exposed.
func series(c prometheus.Collector) (n int) {
	all := make(chan prometheus.Metric)
	go func() {
		c.Collect(all)
		close(all)
	}()
	for range all {
		n++
	}
	return n
}

// ipv4Only is a host without IPv6.
type ipv4Only struct{ loop.Network }

func (n ipv4Only) Listen(addr netip.AddrPort) (net.Listener, error) {
	if addr.Addr().Is6() {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EAFNOSUPPORT)}
	}
	return n.Network.Listen(addr)
}

// A listener without addresses serves all that the host has.
func TestAllAddresses(t *testing.T) {
	for name, network := range map[string]func() loop.Network{
		"both families": func() loop.Network { return memnet.New() },
		"no IPv6":       func() loop.Network { return ipv4Only{memnet.New()} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t, engine.Options{Workers: 2, Network: network()})
				l := g.listener()
				l.Addresses = nil
				g.serve(g.origin(hello), config.Rule{})
				g.apply(config.Delta{Reset: true, Listeners: []*config.Listener{l}, Routes: []*config.Route{route("httproute/default/web", config.Rule{
					Matches: []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}},
					Filters: config.Filters{Redirect: &config.Redirect{Status: 302}},
				})}})
				c := g.dial()
				c.send(get("/"))
				c.want(302, "")
			})
		})
	}
}

// The cost of a change follows the change: compare the sizes.
func BenchmarkApplyOneRoute(b *testing.B) {
	for _, listeners := range []int{10, 1000} {
		b.Run(fmt.Sprint(listeners), func(b *testing.B) {
			e, err := engine.New(engine.Options{Workers: 2, Network: memnet.New()})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			cancel()
			defer e.Shutdown(ctx, 0, 0)
			d := config.Delta{Version: 1}
			for i := range listeners {
				name := fmt.Sprintf("default/gw/%d", i)
				d.Listeners = append(d.Listeners, &config.Listener{Name: name, Port: uint16(1000 + i), Protocol: config.ProtocolHTTP})
				r := route(fmt.Sprintf("httproute/default/%d", i), config.Rule{Matches: []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}}})
				r.Attachments[0].Listener = name
				d.Routes = append(d.Routes, r)
			}
			e.Apply(&d)
			one := *d.Routes[0]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := one
				r.Rules = []config.Rule{{Name: fmt.Sprint(i), Matches: one.Rules[0].Matches}}
				e.Apply(&config.Delta{Version: uint64(i + 2), Routes: []*config.Route{&r}})
			}
		})
	}
}
