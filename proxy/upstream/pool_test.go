package upstream_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

func TestPoolReusesTheYoungest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		one, reused := w.mustGet(b)
		two, again := w.mustGet(b)
		if reused || again {
			t.Error("the first connections were called reused")
		}
		w.put(one, two)
		if c, reused := w.mustGet(b); c != two || !reused {
			t.Error("the connection that came back last was not taken first")
		}
		want := upstream.Counters{Active: 1, Connects: 2, Reused: 1}
		if got := b.Counters(); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
		if got := two.Endpoint().Counters(); got != want {
			t.Errorf("the endpoint's counters %+v, want %+v", got, want)
		}
	})
}

// For another try after a connection that was idle has failed.
func TestDialMakesANewConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		c, _ := w.mustGet(b)
		w.put(c)
		var fresh *upstream.Conn
		w.do(func() { fresh, _ = w.pool.Dial(b.Endpoints()[0], upstream.Want{}) })
		if fresh == c || w.idle() != 1 || o.open() != 2 || b.Counters().Reused != 0 {
			t.Errorf("the same: %v, %d idle, %d open, %+v", fresh == c, w.idle(), o.open(), b.Counters())
		}
	})
}

// A response that no request asked for must never answer the next one.
func TestPoolDiscardsAnIdleConnection(t *testing.T) {
	for _, test := range []struct {
		name   string
		happen func(w *world, o *origin)
	}{
		{"on a byte", func(w *world, o *origin) { o.accepted()[0].Write([]byte("H")) }},
		{"on the peer's end", func(w *world, o *origin) { o.accepted()[0].Close() }},
		{"after the idle timeout", func(w *world, o *origin) { time.Sleep(upstream.DefaultLimits.IdleTimeout) }},
		{"when its endpoint goes", func(w *world, o *origin) { w.set("web", endpoint("10.0.0.2:80")) }},
		{"when its backend goes", func(w *world, o *origin) { w.backends.Apply(&config.Delta{Reset: true}) }},
		{"when its protocol changes", func(w *world, o *origin) {
			w.backends.Apply(&config.Delta{Backends: []*config.Backend{{
				Name: "web", Protocol: config.AppH2C, Endpoints: []config.Endpoint{endpoint("10.0.0.1:80")},
			}}})
		}},
		{"when the pool drains", func(w *world, o *origin) { w.do(w.pool.Drain) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:80")
				c, _ := w.mustGet(w.set("web", endpoint("10.0.0.1:80")))
				w.put(c)
				if w.idle() != 1 {
					t.Fatal("the connection is not kept")
				}
				test.happen(w, o)
				if w.idle() != 0 || o.open() != 0 {
					t.Errorf("%d idle, %d open at the origin", w.idle(), o.open())
				}
			})
		})
	}
}

func TestPoolKeepsAConnectionBelowTheIdleTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		c, _ := w.mustGet(b)
		for range 3 {
			w.put(c)
			time.Sleep(upstream.DefaultLimits.IdleTimeout - time.Second)
			if again, reused := w.mustGet(b); again != c || !reused {
				t.Fatal("it was not reused")
			}
		}
		// The idle timeout must not cut the request that follows.
		time.Sleep(2 * upstream.DefaultLimits.IdleTimeout)
		var err error
		o.accepted()[0].Write([]byte("HTTP"))
		w.do(func() { _, err = c.Read(make([]byte, 4)) })
		if err != nil {
			t.Error(err)
		}
	})
}

func TestPoolGivesOutConnectionsWithoutDeadlines(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		c, _ := w.mustGet(b)
		w.do(func() {
			c.SetReadDeadline(w.loop.Now().Add(time.Second))
			c.SetWriteDeadline(w.loop.Now().Add(time.Second))
		})
		w.put(c)
		time.Sleep(2 * time.Second)
		c, reused := w.mustGet(b)
		o.accepted()[0].Write([]byte("HTTP"))
		var read, written error
		w.do(func() {
			_, written = c.Write([]byte("GET"))
			_, read = c.Read(make([]byte, 4))
		})
		if !reused || read != nil || written != nil {
			t.Errorf("reused: %v, write: %v, read: %v", reused, written, read)
		}
	})
}

func TestPoolClosesWhatComesBackTooLate(t *testing.T) {
	for _, test := range []struct {
		name   string
		happen func(w *world)
	}{
		{"its endpoint is gone", func(w *world) { w.set("web") }},
		{"the pool drains", func(w *world) { w.do(w.pool.Drain) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:80")
				b := w.set("web", endpoint("10.0.0.1:80"))
				c, _ := w.mustGet(b)
				test.happen(w)
				if o.open() != 1 {
					t.Error("a connection in use was cut")
				}
				w.put(c)
				if w.idle() != 0 || o.open() != 0 || b.Counters().Active != 0 {
					t.Errorf("%d idle, %d open, %+v", w.idle(), o.open(), b.Counters())
				}
			})
		})
	}
}

func TestDiscardCloses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		c, _ := w.mustGet(b)
		w.discard(c)
		if w.idle() != 0 || o.open() != 0 || b.Counters().Active != 0 {
			t.Errorf("%d idle, %d open, %+v", w.idle(), o.open(), b.Counters())
		}
	})
}

func TestPoolBounds(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.IdlePerEndpoint, limits.Idle = 2, 3
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		first, second := w.origin("10.0.0.1:80"), w.origin("10.0.0.2:80")
		a, b := w.set("a", endpoint("10.0.0.1:80")), w.set("b", endpoint("10.0.0.2:80"))
		var conns []*upstream.Conn
		for _, backend := range []*upstream.Backend{a, a, a, b, b} {
			c, _ := w.mustGet(backend)
			conns = append(conns, c)
		}
		w.put(conns[:3]...)
		if w.idle() != 2 || first.open() != 2 {
			t.Errorf("per endpoint: %d idle, %d open; want 2", w.idle(), first.open())
		}
		w.put(conns[3:]...)
		if w.idle() != 3 || first.open() != 1 || second.open() != 2 {
			t.Errorf("in all: %d idle, %d and %d open; want 3, 1 and 2", w.idle(), first.open(), second.open())
		}
		if c, reused := w.mustGet(a); !reused || c != conns[2] {
			t.Error("the bounds did not cost the connections that were idle longest")
		}
	})
}

func TestUnixSocket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.unixOrigin("/run/web.sock")
		b := w.set("web", config.Endpoint{Unix: "/run/web.sock", Ready: true})
		c, _ := w.mustGet(b)
		if got := c.Endpoint().String(); got != "unix:/run/web.sock" {
			t.Errorf("the endpoint is called %q", got)
		}
		w.put(c)
		if _, reused := w.mustGet(b); !reused || len(o.accepted()) != 1 {
			t.Error("the connection was not reused")
		}
	})
}

func TestConnectFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net.delay["10.0.0.9:80"] = -1
		w.resolver.fail("absent.example", errors.New("no such name"))
		for _, test := range []struct {
			endpoint config.Endpoint
			deadline time.Duration
			reason   string
			after    time.Duration
			text     string
		}{
			{endpoint("10.0.0.1:80"), 0, "refused", 0, "web: endpoint 10.0.0.1:80: "},
			{endpoint("10.0.0.9:80"), 0, "timeout", 5 * time.Second, "web: endpoint 10.0.0.9:80: "},
			{endpoint("10.0.0.9:80"), time.Second, "timeout", time.Second, "web: endpoint 10.0.0.9:80: "},
			{endpoint("10.0.0.9:80"), time.Minute, "timeout", 5 * time.Second, "web: endpoint 10.0.0.9:80: "},
			{config.Endpoint{Unix: "/run/none", Ready: true}, 0, "no_socket", 0, "web: endpoint unix:/run/none: "},
			{endpoint("absent.example:80"), 0, "resolve", 0,
				"web: endpoint absent.example:80: resolving the name failed: no such name"},
		} {
			b := w.set("web", test.endpoint)
			failures := b.Counters().ConnectFailures
			began := time.Now()
			var deadline time.Time
			if test.deadline > 0 {
				deadline = began.Add(test.deadline)
			}
			_, _, err := w.getBefore(b, deadline)
			var ce *upstream.ConnectError
			if !errors.As(err, &ce) || upstream.Reason(err) != test.reason || !strings.HasPrefix(err.Error(), test.text) {
				t.Errorf("%s: %v (%s), want %s", ce.Endpoint, err, upstream.Reason(err), test.reason)
			}
			if took := time.Since(began); took != test.after {
				t.Errorf("%s: took %v, want %v", ce.Endpoint, took, test.after)
			}
			if got := b.Counters(); got.ConnectFailures != failures+1 || got.Active != 0 {
				t.Errorf("%s: counters %+v", ce.Endpoint, got)
			}
		}
	})
}

func TestReason(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), "refused"},
		{os.NewSyscallError("connect", syscall.ECONNRESET), "reset"},
		{os.NewSyscallError("connect", syscall.ENETUNREACH), "unreachable"},
		{os.NewSyscallError("connect", syscall.EHOSTUNREACH), "unreachable"},
		{os.NewSyscallError("connect", syscall.ENOENT), "no_socket"},
		{os.NewSyscallError("connect", syscall.EACCES), "denied"},
		{os.NewSyscallError("socket", syscall.EMFILE), "exhausted"},
		{os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), "exhausted"},
		{errors.Join(syscall.ENETUNREACH, syscall.ECONNREFUSED), "refused"},
		{errors.New("anything else"), "failed"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.net.failure = test.err
			_, _, err := w.get(w.set("web", endpoint("10.0.0.1:80")))
			if got := upstream.Reason(err); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%v: %q (%v), want %q", test.err, got, err, test.want)
			}
		})
	}
}

func TestPoolThatKeepsNothing(t *testing.T) {
	for name, limits := range map[string]upstream.Limits{
		"for an endpoint": {Idle: 1, IdleTimeout: time.Minute, ConnectTimeout: time.Second},
		"in all":          {IdlePerEndpoint: 1, IdleTimeout: time.Minute, ConnectTimeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inLimitedWorld(t, limits, func(t *testing.T, w *world) {
				o := w.origin("10.0.0.1:80")
				c, _ := w.mustGet(w.set("shop", endpoint("10.0.0.1:80")))
				w.put(c)
				if w.idle() != 0 || o.open() != 0 {
					t.Errorf("%d idle, %d open, want none", w.idle(), o.open())
				}
			})
		})
	}
}
