package upstream_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// stall uploads on a stream of its own until the backend, which reads nothing,
// has closed the connection's window for a while.
func stall(w *world, b *upstream.Backend) {
	c := w.burst(b, upstream.Want{}, 1)[0]
	w.loop.Post(func() {
		w.loop.Go(func() {
			req := &message.Request{Method: "POST", Scheme: "http", Authority: "shop.example", Path: "/stall", BodyLength: message.LengthUnknown}
			if err := c.Stream().WriteRequest(req, false); err != nil {
				w.t.Error(err)
			}
			c.Stream().Write(make([]byte, 2<<20))
			w.pool.Discard(c)
		})
	})
	time.Sleep(time.Second)
	w.settle()
}

// An upload that its backend does not take closes the window that all requests of
// its connection share: others take another connection, as long as there may be one.
func TestStalledSessionIsPassedBy(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.Sessions = 2
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		end := make(chan struct{})
		o := w.http2("10.0.0.1:80", nil, func(s *http.Server) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stall" {
					<-end
				}
			})
		})
		defer close(end)
		b := w.setH2C(endpoint("10.0.0.1:80"))
		stall(w, b)
		for range 3 {
			if err := w.fetchAll(b, 10); err != nil {
				t.Fatal(err)
			}
			if all, _ := o.connections(); all != 2 {
				t.Fatalf("%d connections, want 2", all)
			}
		}
		stall(w, b) // on the second one: no third may be made
		if err := w.fetchAll(b, 10); err != nil {
			t.Fatal(err)
		}
		if all, open := o.connections(); all != 2 || open != 2 {
			t.Fatalf("%d connections, %d of them open", all, open)
		}
	})
}
