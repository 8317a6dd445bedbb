package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// loopback resolves every name to the machine itself.
type loopback struct{}

func (loopback) Resolve(context.Context, string) (upstream.Answer, error) {
	return upstream.Answer{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, nil
}

// No request, no retry and no mirror of a restricted backend reaches what only
// the proxy can.
func TestRestrictedBackendsReachNothingOfTheProxy(t *testing.T) {
	every := []config.Mirror{{Backend: "backend/ns/evil", Numerator: 1, Denominator: 1}}
	toEvil := []config.BackendRef{{Backend: "backend/ns/evil", Weight: 1}}
	for name, rule := range map[string]config.Rule{
		"request": {Backends: toEvil},
		"retry":   {Backends: toEvil, Retry: &config.Retry{Codes: []int{503}, Attempts: 3}},
		"mirror":  {Filters: config.Filters{Mirrors: every}},
	} {
		for address, e := range map[string]config.Endpoint{
			"an address": {}, "a name": {Host: "evil.example"},
		} {
			t.Run(name+" to "+address, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Resolver: loopback{}})
					var reached atomic.Int64
					secret := g.origin(func(http.ResponseWriter, *http.Request) { reached.Add(1) })
					if e.Ready = true; e.Host == "" {
						e.Address = secret
					} else {
						e.Port = secret.Port()
					}
					evil := config.Backend{Name: "backend/ns/evil", Protocol: config.AppHTTP, Endpoints: []config.Endpoint{e}}
					g.serve(g.origin(hello), rule)
					for _, restricted := range []bool{true, false} {
						b := evil
						b.Restricted = restricted
						g.apply(config.Delta{Backends: []*config.Backend{&b}})
						c := g.dial()
						c.send(get("/"))
						r, _ := c.response("GET")
						synctest.Wait()
						if want := rule.Backends == nil || !restricted; (r.StatusCode == 200) != want || !want && r.StatusCode != 503 {
							t.Errorf("restricted %v: got %d", restricted, r.StatusCode)
						}
						if (reached.Load() > 0) == restricted {
							t.Errorf("restricted %v: %d requests reached the proxy's own host", restricted, reached.Load())
						}
					}
				})
			})
		}
	}
}

// The data plane's own addresses are those that it was told.
func TestRestrictedBackendsDoNotReachOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGateway(t, engine.Options{Workers: 1, Network: memnet.New(), Own: []netip.Addr{netip.MustParseAddr("10.7.7.7")}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		b := backend("backend/ns/evil", netip.MustParseAddrPort("10.7.7.7:10250"), netip.MustParseAddrPort("10.7.7.8:10250"))
		b.Restricted = true
		g.apply(config.Delta{Backends: []*config.Backend{b}})
		if text := log.String(); !strings.Contains(text, "endpoint=10.7.7.7:10250") || strings.Contains(text, "10.7.7.8") {
			t.Errorf("the log is\n%s", text)
		}
	})
}
