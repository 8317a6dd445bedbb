package upstream_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// engine is an implementation of loops over the sockets of the host.
type engine struct {
	name string
	make func() (loop.Loop, error)
}

var engines = []engine{{
	name: "portable",
	make: func() (loop.Loop, error) { return portable.New(1, portable.Options{})[0], nil },
}}

// onEachEngine runs a test over real sockets on 127.0.0.1.
func onEachEngine(t *testing.T, test func(t *testing.T, w *world)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			e.run(t, func(w *world) { test(t, w) })
		})
	}
}

func (e engine) run(t testing.TB, test func(w *world)) {
	l, err := e.make()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, loop: l}
	w.backends = upstream.NewBackends(upstream.Options{
		Workers: 1, Resolver: upstream.NewSystemResolver(), Log: slog.New(slog.DiscardHandler),
	})
	w.pool = w.backends.NewPool(w.loop)
	var running sync.WaitGroup
	running.Go(func() { w.loop.Run() })
	defer func() {
		w.backends.Close()
		w.loop.Stop()
		running.Wait()
	}()
	test(w)
}

// BenchmarkReuse is Pick, Get and Put of a warm connection, with what the
// engine does for them.
func BenchmarkReuse(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			e.run(b, func(w *world) {
				l, _ := listen(b, "tcp", "127.0.0.1:0")
				backend := w.set("web", endpoint(l.Addr().String()))
				var c *upstream.Conn
				var err error
				b.ReportAllocs()
				w.do(func() {
					for b.Loop() && err == nil {
						var e *upstream.Endpoint
						e, _ = w.pool.Pick(backend, nil)
						if c, _, err = w.pool.Get(e, upstream.Want{}); err == nil {
							w.pool.Put(c)
						}
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// listen accepts connections on a channel until the test ends.
func listen(t testing.TB, network, address string) (net.Listener, <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 16)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		for c := range accepted {
			c.Close()
		}
	})
	return l, accepted
}

// until waits for the condition; the test's own time limit ends it.
func (w *world) until(condition func() bool) {
	for held := false; !held; runtime.Gosched() {
		w.do(func() { held = condition() })
	}
}

func TestSocketsAreReused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		tcp, _ := listen(t, "tcp", "127.0.0.1:0")
		path := filepath.Join(t.TempDir(), "s")
		listen(t, "unix", path)
		port := uint16(tcp.Addr().(*net.TCPAddr).Port)
		for _, e := range []config.Endpoint{
			endpoint(tcp.Addr().String()),
			{Host: "localhost", Port: port, Ready: true},
			{Unix: path, Ready: true},
		} {
			b := w.set("web", e)
			first, reused := w.mustGet(b)
			if reused {
				t.Errorf("%s: the first connection was called reused", first.Endpoint())
			}
			w.do(func() { w.pool.Put(first) })
			if again, reused := w.mustGet(b); again != first || !reused {
				t.Errorf("%s: it was not reused", first.Endpoint())
			}
		}
	})
}

func TestSocketsThatFail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		closed, _ := listen(t, "tcp", "127.0.0.1:0")
		closed.Close()
		_, port, _ := net.SplitHostPort(closed.Addr().String())
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			endpoint config.Endpoint
			reason   string
		}{
			{endpoint(closed.Addr().String()), "refused"},
			{config.Endpoint{Host: "localhost", Port: uint16(number), Ready: true}, "refused"},
			{config.Endpoint{Unix: filepath.Join(t.TempDir(), "none"), Ready: true}, "no_socket"},
		} {
			if _, _, err := w.get(w.set("web", test.endpoint)); upstream.Reason(err) != test.reason {
				t.Errorf("%v, want the reason %s", err, test.reason)
			}
		}
	})
}

func TestIdleSocketIsWatched(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		l, accepted := listen(t, "tcp", "127.0.0.1:0")
		b := w.set("web", endpoint(l.Addr().String()))
		for name, happen := range map[string]func(*net.TCPConn) error{
			"a byte":       func(c *net.TCPConn) error { _, err := c.Write([]byte("H")); return err },
			"a half-close": (*net.TCPConn).CloseWrite,
			"a close":      (*net.TCPConn).Close,
			"a reset":      func(c *net.TCPConn) error { c.SetLinger(0); return c.Close() },
		} {
			c, _ := w.mustGet(b)
			peer := (<-accepted).(*net.TCPConn)
			w.do(func() { w.pool.Put(c) })
			if err := happen(peer); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			w.until(func() bool { return w.pool.Idle() == 0 })
			peer.Close()
		}
	})
}

func TestHTTP2OverSockets(t *testing.T) {
	ours := newAuthority("ours")
	for name, inTLS := range map[string]*config.BackendTLS{"in clear text": nil, "in TLS": trusting("shop.example", ours)} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, w *world) {
				var settings *tls.Config
				if inTLS != nil {
					settings = &tls.Config{Certificates: []tls.Certificate{ours.issue("shop.example")}}
				}
				serve := func(address string) (*httpOrigin, string) {
					l, err := net.Listen("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					return w.http2On(l, settings.Clone(), nil), l.Addr().String()
				}
				o, address := serve("127.0.0.1:0")
				b := w.apply(&config.Backend{Name: "web", Protocol: config.AppH2C, TLS: inTLS, Endpoints: []config.Endpoint{endpoint(address)}})
				for range 3 {
					if err := w.fetchAll(b, 150); err != nil {
						t.Fatal(err)
					}
				}
				before := b.Counters()
				if before.Connects+before.Reused != 450 || before.Connects > 6 || before.Active != 0 {
					t.Errorf("counters %+v", before)
				}
				o.Close()
				w.until(func() bool { return w.pool.Idle() == 0 })
				serve(address)
				if err := w.fetchAll(b, 10); err != nil {
					t.Errorf("after the endpoint was started anew: %v", err)
				}
				if got := b.Counters(); got.Connects == before.Connects {
					t.Errorf("counters %+v", got)
				}
			})
		})
	}
}

// BenchmarkGetStream is Pick, Get and Put of a stream on a session that is there.
func BenchmarkGetStream(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			e.run(b, func(w *world) {
				l, _ := listen(b, "tcp", "127.0.0.1:0")
				backend := w.setH2C(endpoint(l.Addr().String()))
				endpoint := backend.Endpoints()[0]
				var err error
				b.ReportAllocs()
				w.do(func() {
					kept, _, _ := w.pool.Get(endpoint, upstream.Want{})
					for b.Loop() && err == nil {
						var c *upstream.Conn
						e, _ := w.pool.Pick(backend, nil)
						if c, _, err = w.pool.Get(e, upstream.Want{}); err == nil {
							w.pool.Put(c)
						}
					}
					w.pool.Discard(kept)
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
