package engine_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
)

func TestMemoryNearItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Uint64
		g := newGateway(t, engine.Options{Workers: 2, Network: memnet.New(), Memory: func() (uint64, uint64) { return used.Load(), 100 }})
		g.serve(g.origin(hello), config.Rule{})
		kept := g.dial()
		for _, tt := range []struct {
			used   uint64
			status int
			closes bool
		}{{94, 200, false}, {95, 200, true}, {98, 503, true}, {50, 200, false}} {
			used.Store(tt.used)
			time.Sleep(time.Second)
			kept.send(get("/"))
			if r, _ := kept.response("GET"); r.StatusCode != tt.status || r.Close != tt.closes {
				t.Errorf("at %d %%: got %d, close %v", tt.used, r.StatusCode, r.Close)
			}
			if tt.closes {
				kept = g.dial()
			}
		}
	})
}
