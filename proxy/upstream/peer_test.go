package upstream_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Identities change with their certificates, and endpoints come and go: nothing
// is to be left of those of before.
func TestPeersAreForgotten(t *testing.T) {
	ours := newAuthority("ours")
	settings := &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}}
	for name, serve := range map[string]func(w *world){
		"HTTP/1.1": func(w *world) { w.echoTLS("10.0.0.1:443", settings.Clone()) },
		"HTTP/2":   func(w *world) { w.http2("10.0.0.1:443", settings.Clone(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				serve(w)
				b := w.setTLS(trusting("shop.example", ours), endpoint("10.0.0.1:443"), endpoint("10.0.0.2:443"))
				peers := func() (n int) {
					w.settle()
					w.do(func() { n = w.pool.Peers() })
					return n
				}
				use := func(identity *tls.Certificate) {
					w.do(func() {
						c, _, err := w.pool.Get(b.Endpoints()[0], upstream.Want{Identity: identity})
						if err != nil {
							t.Error(err)
							return
						}
						w.pool.Put(c)
						if _, _, err := w.pool.Get(b.Endpoints()[1], upstream.Want{Identity: identity}); err == nil {
							t.Error("connected to an endpoint that is not there")
						}
					})
				}
				var certificates []tls.Certificate
				for range 3 {
					certificates = append(certificates, ours.issue("gateway"))
				}
				use(nil)
				for i := range certificates {
					time.Sleep(time.Second) // so that they are not forgotten in this order
					use(&certificates[i])
				}
				if n := peers(); n != 5 { // three with a connection, and both endpoints without an identity
					t.Errorf("%d peers, want 5", n)
				}
				time.Sleep(upstream.DefaultLimits.IdleTimeout + time.Second)
				if n := peers(); n != 2 {
					t.Errorf("after the idle timeout %d peers, want 2", n)
				}
				use(&certificates[0])
				late := b.Endpoints()[0]
				w.backends.Apply(&config.Delta{Reset: true})
				if n := peers(); n != 0 {
					t.Errorf("without endpoints %d peers", n)
				}
				w.do(func() {
					if c, _, err := w.pool.Get(late, upstream.Want{}); err == nil {
						w.pool.Put(c)
					}
				})
				if n := peers(); n != 0 {
					t.Errorf("after a late request %d peers", n)
				}
			})
		})
	}
}
