package upstream_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

func TestStreamsShareAConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, nil)
		b := w.setH2C(endpoint("10.0.0.1:80"))
		conns := w.burst(b, upstream.Want{}, 50)
		for _, c := range conns {
			if body, err := w.ask(c); body != "HTTP/2.0" || err != nil {
				t.Fatalf("got %q, %v", body, err)
			}
		}
		if all, _ := o.connections(); all != 1 {
			t.Errorf("%d connections", all)
		}
		want := upstream.Counters{Active: 50, Connects: 1, Reused: 49}
		if got := b.Counters(); got != want {
			t.Errorf("counters %+v, want %+v", got, want)
		}
		w.put(conns[:25]...)
		w.do(func() {
			for _, c := range conns[25:] {
				w.pool.Discard(c)
			}
		})
		if w.idle() != 1 || b.Counters().Active != 0 {
			t.Errorf("%d idle, counters %+v", w.idle(), b.Counters())
		}
		if _, reused, err := w.getAs(b, upstream.Want{}); !reused || err != nil || w.idle() != 0 {
			t.Errorf("reused: %v, %v, %d idle", reused, err, w.idle())
		}
	})
}

// Those that come while a connect is under way wait for it, and one more is made
// for each hundred of them.
func TestConnectsAreShared(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, nil)
		w.net.delay["10.0.0.1:80"] = time.Second
		b := w.setH2C(endpoint("10.0.0.1:80"))
		all := w.start(b, upstream.Want{}, 250)
		time.Sleep(2 * time.Second)
		w.settle()
		for _, g := range all {
			if g.err != nil || g.conn.Stream() == nil {
				t.Fatal(g.err)
			}
		}
		if n, _ := o.connections(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
		if got := b.Counters(); got.Connects != 3 || got.Reused != 247 || got.Active != 250 {
			t.Errorf("counters %+v", got)
		}
	})
}

func TestFailureOfASharedConnect(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.setH2C(endpoint("10.0.0.1:80"))
		w.net.delay["10.0.0.1:80"] = time.Second
		all := w.start(b, upstream.Want{}, 10)
		time.Sleep(2 * time.Second)
		w.settle()
		for _, g := range all {
			if upstream.Reason(g.err) != "refused" {
				t.Errorf("got %v", g.err)
			}
		}
		if got := b.Counters(); got.ConnectFailures != 1 || got.Active != 0 {
			t.Errorf("counters %+v", got)
		}
	})
}

// A request that cannot wait does not end the connect that others wait for.
func TestDeadlineOfOneRequest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.http2("10.0.0.1:80", nil, nil)
		w.net.delay["10.0.0.1:80"] = 2 * time.Second
		b := w.setH2C(endpoint("10.0.0.1:80"))
		patient := w.start(b, upstream.Want{}, 1)
		began := time.Now()
		_, _, err := w.getAs(b, upstream.Want{Deadline: began.Add(time.Second)})
		if upstream.Reason(err) != "timeout" || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		time.Sleep(2 * time.Second)
		w.settle()
		if patient[0].err != nil || patient[0].conn == nil {
			t.Errorf("the other got %v", patient[0].err)
		}
		if got := b.Counters(); got.Connects != 1 || got.ConnectFailures != 0 || got.Active != 1 {
			t.Errorf("counters %+v", got)
		}
	})
}

// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 5.1.2) and Limits.Sessions.
func TestStreamsAreBounded(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.Sessions = 2
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, func(s *http.Server) { s.HTTP2.MaxConcurrentStreams = 10 })
		b := w.setH2C(endpoint("10.0.0.1:80"))
		w.put(w.burst(b, upstream.Want{}, 1)...)
		conns := w.burst(b, upstream.Want{}, 11)
		conns = append(conns, w.burst(b, upstream.Want{}, 9)...)
		if all, _ := o.connections(); all != 2 {
			t.Fatalf("%d connections, want 2", all)
		}
		began := time.Now()
		if _, _, err := w.getAs(b, upstream.Want{}); upstream.Reason(err) != "exhausted" || time.Since(began) != limits.ConnectTimeout {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		late := w.start(b, upstream.Want{}, 3)
		w.settle()
		w.put(conns[0], conns[10], conns[19])
		w.settle()
		for _, g := range late {
			if g.conn == nil {
				t.Errorf("a stream was free, but the request got %v", g.err)
			}
		}
		if all, _ := o.connections(); all != 2 {
			t.Errorf("%d connections, want 2", all)
		}
	})
}

// GOAWAY (RFC 9113 section 6.8): what was begun ends, what was not goes elsewhere.
func TestGoAwayCostsNoRequest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := 0
		o := w.http2("10.0.0.1:80", nil, func(s *http.Server) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n%10 == 0 {
					w.Header().Set("Connection", "close")
				}
				time.Sleep(time.Millisecond)
				io.WriteString(w, r.Proto)
			})
			s.HTTP2.MaxConcurrentStreams = 1 // and so n belongs to one handler at a time
		})
		b := w.setH2C(endpoint("10.0.0.1:80"))
		for range 50 {
			if err := w.fetchAll(b, 1); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if all, open := o.connections(); all < 5 || open > 1 {
			t.Errorf("%d connections, %d of them open", all, open)
		}
	})
}

func TestGoAwayUnderLoad(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, func(s *http.Server) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if time.Now().Nanosecond()%7 == 0 {
					w.Header().Set("Connection", "close")
				}
				time.Sleep(3 * time.Millisecond)
			})
		})
		b := w.setH2C(endpoint("10.0.0.1:80"))
		for range 20 {
			if err := w.fetchAll(b, 150); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Nanosecond)
		}
		time.Sleep(5 * time.Second)
		if all, open := o.connections(); all < 3 || open > 2 {
			t.Errorf("%d connections, %d of them open", all, open)
		}
		if got := b.Counters(); got.Active != 0 {
			t.Errorf("counters %+v", got)
		}
	})
}

// An old session serves until the one in its place is there.
func TestSessionsAreReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		limit func(*upstream.Limits)
		wear  func(w *world, b *upstream.Backend)
	}{
		"by age": {func(l *upstream.Limits) { l.SessionAge = time.Minute }, func(w *world, b *upstream.Backend) {
			time.Sleep(time.Minute)
		}},
		"by streams": {func(l *upstream.Limits) { l.SessionStreams = 10 }, func(w *world, b *upstream.Backend) {
			w.put(w.burst(b, upstream.Want{}, 8)...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := upstream.DefaultLimits
			test.limit(&limits)
			inLimitedWorld(t, limits, func(t *testing.T, w *world) {
				o := w.http2("10.0.0.1:80", nil, nil)
				b := w.setH2C(endpoint("10.0.0.1:80"))
				long := w.burst(b, upstream.Want{}, 1)[0]
				test.wear(w, b)
				w.net.delay["10.0.0.1:80"] = time.Second
				began := time.Now()
				short, reused, err := w.getAs(b, upstream.Want{})
				if err != nil || !reused || time.Since(began) != 0 {
					t.Fatalf("reused: %v, %v, after %v", reused, err, time.Since(began))
				}
				time.Sleep(2 * time.Second)
				if all, open := o.connections(); all != 2 || open != 2 {
					t.Errorf("%d connections, %d of them open, want 2", all, open)
				}
				if _, err := w.ask(short); err != nil {
					t.Error(err)
				}
				w.put(short)
				if body, err := w.ask(long); err != nil {
					t.Errorf("the stream of before: %q, %v", body, err)
				}
				w.put(long)
				if _, open := o.connections(); open != 1 {
					t.Errorf("%d connections are open, want 1", open)
				}
				fresh, _, _ := w.getAs(b, upstream.Want{})
				if all, _ := o.connections(); fresh == nil || all != 2 {
					t.Errorf("%d connections, want 2", all)
				}
			})
		})
	}
}

// What cannot be replaced goes on.
func TestReplacementFails(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.SessionAge = time.Minute
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, nil)
		b := w.setH2C(endpoint("10.0.0.1:80"))
		keep := w.burst(b, upstream.Want{}, 1)
		time.Sleep(time.Minute)
		w.net.failure = io.ErrUnexpectedEOF
		for range 10 {
			if err := w.fetchAll(b, 1); err != nil {
				t.Error(err)
			}
		}
		if n := len(w.net.dials()); n != 2 {
			t.Errorf("dialled %d times, want 2", n)
		}
		w.net.failure = nil
		time.Sleep(2 * time.Minute)
		w.put(keep...)
		w.fetchAll(b, 1)
		w.settle()
		if all, open := o.connections(); all != 2 || open != 1 {
			t.Errorf("%d connections, %d of them open", all, open)
		}
	})
}

func TestConnectionDies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stuck := make(chan struct{})
		o := w.http2("10.0.0.1:80", nil, func(s *http.Server) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stuck" {
					<-stuck
				}
			})
		})
		defer close(stuck)
		b := w.setH2C(endpoint("10.0.0.1:80"))
		c := w.burst(b, upstream.Want{}, 1)[0]
		var err error
		ended := false
		w.loop.Post(func() {
			w.loop.Go(func() {
				_, err = roundTrip(c.Stream(), "/stuck")
				ended = true
			})
		})
		w.settle()
		o.listener.conns[0].Close()
		w.settle()
		if !ended || err == nil {
			t.Fatalf("the request has ended: %v, %v", ended, err)
		}
		if _, reused, err := w.getAs(b, upstream.Want{}); reused || err != nil {
			t.Errorf("reused: %v, %v", reused, err)
		}
		w.put(c)
		if got := b.Counters(); got.Active != 1 || got.Connects != 2 {
			t.Errorf("counters %+v", got)
		}
	})
}

// An idle session is closed when an idle connection would be.
func TestSessionIsClosed(t *testing.T) {
	for _, test := range []struct {
		name   string
		happen func(w *world, o *httpOrigin)
	}{
		{"after the idle timeout", func(w *world, o *httpOrigin) { time.Sleep(upstream.DefaultLimits.IdleTimeout + time.Millisecond) }},
		{"when its endpoint goes", func(w *world, o *httpOrigin) { w.setH2C(endpoint("10.0.0.2:80")) }},
		{"when its backend goes", func(w *world, o *httpOrigin) { w.backends.Apply(&config.Delta{Reset: true}) }},
		{"when its protocol changes", func(w *world, o *httpOrigin) { w.set("web", endpoint("10.0.0.1:80")) }},
		{"when the pool drains", func(w *world, o *httpOrigin) { w.do(w.pool.Drain) }},
		{"when the endpoint ends it", func(w *world, o *httpOrigin) { o.listener.conns[0].Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.http2("10.0.0.1:80", nil, nil)
				b := w.setH2C(endpoint("10.0.0.1:80"))
				if err := w.fetchAll(b, 3); err != nil {
					t.Fatal(err)
				}
				if w.idle() != 1 {
					t.Fatalf("%d idle, want 1", w.idle())
				}
				test.happen(w, o)
				w.settle()
				if _, open := o.connections(); w.idle() != 0 || open != 0 {
					t.Errorf("%d idle, %d open at the origin", w.idle(), open)
				}
			})
		})
	}
}

func TestSessionStaysBelowTheIdleTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.http2("10.0.0.1:80", nil, nil)
		b := w.setH2C(endpoint("10.0.0.1:80"))
		for range 5 {
			if err := w.fetchAll(b, 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(upstream.DefaultLimits.IdleTimeout - time.Second)
		}
		c, _, _ := w.getAs(b, upstream.Want{})
		time.Sleep(2 * upstream.DefaultLimits.IdleTimeout)
		if body, err := w.ask(c); err != nil {
			t.Errorf("a stream that was in use: %q, %v", body, err)
		}
		if all, _ := o.connections(); all != 1 {
			t.Errorf("%d connections, want 1", all)
		}
	})
}

// A stream that is in use goes on when its session is not to be used any more,
// which then ends with it.
func TestStreamsOutliveTheirSessions(t *testing.T) {
	for name, happen := range map[string]func(w *world){
		"its endpoint goes": func(w *world) { w.setH2C() },
		"the pool drains":   func(w *world) { w.do(w.pool.Drain) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := w.http2("10.0.0.1:80", nil, nil)
				b := w.setH2C(endpoint("10.0.0.1:80"))
				c := w.burst(b, upstream.Want{}, 1)[0]
				happen(w)
				w.settle()
				if body, err := w.ask(c); err != nil {
					t.Errorf("got %q, %v", body, err)
				}
				w.put(c)
				w.settle()
				if _, open := o.connections(); w.idle() != 0 || open != 0 || b.Counters().Active != 0 {
					t.Errorf("%d idle, %d open, %+v", w.idle(), open, b.Counters())
				}
			})
		})
	}
}

// Idle sessions count among the idle connections.
func TestIdleSessionsAreBounded(t *testing.T) {
	limits := upstream.DefaultLimits
	limits.Idle = 2
	inLimitedWorld(t, limits, func(t *testing.T, w *world) {
		var origins []*httpOrigin
		for _, address := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"} {
			origins = append(origins, w.http2(address, nil, nil))
			if err := w.fetchAll(w.setH2C(endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80")), 1); err != nil {
				t.Fatal(err)
			}
		}
		_, first := origins[0].connections()
		_, last := origins[2].connections()
		if w.idle() != 2 || first != 0 || last != 1 {
			t.Errorf("%d idle, %d open at the first origin and %d at the last", w.idle(), first, last)
		}
	})
}

// A name that leads elsewhere ends the sessions to where it led.
func TestSessionToAnAddressOfBefore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before, after := w.http2("10.0.0.1:80", nil, nil), w.http2("10.0.0.2:80", nil, nil)
		w.resolver.answer("web.example", time.Second, "10.0.0.1")
		b := w.setH2C(endpoint("web.example:80"))
		if err := w.fetchAll(b, 1); err != nil {
			t.Fatal(err)
		}
		w.resolver.answer("web.example", time.Hour, "10.0.0.2")
		time.Sleep(2 * time.Second)
		if err := w.fetchAll(b, 1); err != nil {
			t.Fatal(err)
		}
		w.settle()
		_, old := before.connections()
		if _, open := after.connections(); old != 0 || open != 1 {
			t.Errorf("%d open to the address of before, %d to that of now", old, open)
		}
	})
}
