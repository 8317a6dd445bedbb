package upstream_test

import (
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// A tenant's ConfigMap may stand for each of thousands of backends: what was parsed
// of it is kept once, and only for those that trust the same.
func TestBackendsShareAuthorities(t *testing.T) {
	bs := upstream.NewBackends(upstream.Options{Workers: 1})
	defer bs.Close()
	one, two := newAuthority("one").TrustBundle, newAuthority("two").TrustBundle
	secure := func(name string, cas ...config.TrustBundle) *config.Backend {
		return &config.Backend{Name: name, Protocol: config.AppHTTP, TLS: &config.BackendTLS{Hostname: name + ".example", CAs: cas}}
	}
	bs.Apply(&config.Delta{Version: 1, Reset: true, Backends: []*config.Backend{
		secure("a", one), secure("b", one), secure("both", one, two), secure("two", two),
	}})
	roots := bs.Backend("a").Roots()
	if bs.Backend("b").Roots() != roots {
		t.Error("the same authorities are kept twice")
	}
	for _, other := range []string{"both", "two"} {
		if bs.Backend(other).Roots().Equal(roots) {
			t.Errorf("backend %s trusts the authorities of another", other)
		}
	}
	bs.Apply(&config.Delta{Version: 2, Backends: []*config.Backend{secure("b", two)}})
	if bs.Backend("b").Roots() != bs.Backend("two").Roots() || bs.Backend("a").Roots() != roots {
		t.Error("a backend does not trust those that it is told to trust now")
	}
}
