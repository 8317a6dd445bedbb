package upstream_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// RFC 8305. never stands for an address that answers nothing.
func TestHappyEyeballs(t *testing.T) {
	const never = -1
	const six, four, six2 = "[fd00::1]:80", "10.0.0.1:80", "[fd00::2]:80"
	for _, test := range []struct {
		name string
		// delays of the addresses that somebody listens on, or never.
		delays map[string]time.Duration
		addrs  string
		winner string
		after  time.Duration
		reason string
	}{
		{
			name:   "section 4: IPv6 first",
			delays: map[string]time.Duration{six: 0, four: 0},
			addrs:  "10.0.0.1 fd00::1", winner: six,
		},
		{
			name:   "section 5: the next attempt begins after 250 ms",
			delays: map[string]time.Duration{six: never, four: 0},
			addrs:  "fd00::1 10.0.0.1", winner: four, after: 250 * time.Millisecond,
		},
		{
			name:   "section 5: the first attempt goes on beside the next",
			delays: map[string]time.Duration{six: 400 * time.Millisecond, four: 300 * time.Millisecond},
			addrs:  "fd00::1 10.0.0.1", winner: six, after: 400 * time.Millisecond,
		},
		{
			name:   "section 5: a failure begins the next attempt at once",
			delays: map[string]time.Duration{four: 0},
			addrs:  "fd00::1 10.0.0.1", winner: four,
		},
		{
			name:   "section 4: the families take turns",
			delays: map[string]time.Duration{six: never, six2: never, four: 0},
			addrs:  "fd00::1 fd00::2 10.0.0.1", winner: four, after: 250 * time.Millisecond,
		},
		{
			name:   "one address",
			delays: map[string]time.Duration{four: time.Second},
			addrs:  "10.0.0.1", winner: four, after: time.Second,
		},
		{
			name:  "all refuse",
			addrs: "fd00::1 10.0.0.1", reason: "refused",
		},
		{
			name:   "none answers",
			delays: map[string]time.Duration{six: never, four: never},
			addrs:  "fd00::1 10.0.0.1", reason: "timeout", after: 5 * time.Second,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				for address, delay := range test.delays {
					w.net.delay[address] = delay
					w.origin(address)
				}
				w.resolver.answer("shop.example", time.Hour, strings.Fields(test.addrs)...)
				began := time.Now()
				c, _, err := w.get(w.set("shop", endpoint("shop.example:80")))
				if took := time.Since(began); took != test.after {
					t.Errorf("took %v, want %v", took, test.after)
				}
				if test.reason != "" {
					if upstream.Reason(err) != test.reason {
						t.Errorf("%v, want the reason %s", err, test.reason)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if c.RemoteAddr().String() != test.winner {
					t.Errorf("connected to %v, want %s", c.RemoteAddr(), test.winner)
				}
			})
		})
	}
}

func TestLosersOfARaceAreClosed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		late, first := w.origin("[fd00::1]:80"), w.origin("10.0.0.1:80")
		w.net.delay["[fd00::1]:80"] = time.Second
		w.resolver.answer("shop.example", time.Hour, "fd00::1", "10.0.0.1")
		b := w.set("shop", endpoint("shop.example:80"))
		w.mustGet(b)
		time.Sleep(time.Second)
		if len(late.accepted()) != 1 || late.open() != 0 || first.open() != 1 {
			t.Errorf("the late connection is open %d times, the first %d", late.open(), first.open())
		}
		if got := b.Counters(); got.Connects != 1 || got.ConnectFailures != 0 {
			t.Errorf("a race counted as %+v, want one connect", got)
		}
	})
}

// A name server may answer with thousands of addresses. The next request begins
// with others.
func TestAttemptsOfARaceAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		addrs := make([]string, 1000)
		for i := range addrs {
			addrs[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()
		}
		w.resolver.answer("shop.example", time.Hour, addrs...)
		b := w.set("shop", endpoint("shop.example:80"))
		_, _, first := w.get(b)
		_, _, second := w.get(b)
		if n := strings.Count(first.Error(), "refused"); n < 2 || n > 32 {
			t.Errorf("%d attempts, want some: %v", n, first)
		}
		if first.Error() == second.Error() {
			t.Error("the second request tried the same addresses in the same order")
		}
	})
}

func TestConnectionsSpreadOverTheAddressesOfAName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one, two := w.origin("10.0.0.1:80"), w.origin("10.0.0.2:80")
		w.resolver.answer("shop.example", time.Hour, "10.0.0.1", "10.0.0.2")
		b := w.set("shop", endpoint("shop.example:80"))
		for range 6 {
			w.mustGet(b)
		}
		if a, b := one.open(), two.open(); a != 3 || b != 3 {
			t.Errorf("%d and %d connections, want 3 and 3", a, b)
		}
	})
}

func TestRequestWaitsForTheFirstAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.1:80")
		w.resolver.delay = 2 * time.Second
		w.resolver.answer("shop.example", time.Hour, "10.0.0.1")
		b := w.set("shop", endpoint("shop.example:80"))
		began := time.Now()
		if _, _, err := w.getBefore(b, began.Add(time.Second)); upstream.Reason(err) != "resolve" || time.Since(began) != time.Second {
			t.Errorf("with a deadline of 1 s: %v after %v", err, time.Since(began))
		}
		// While one request waits, the loop serves others.
		var served bool
		w.loop.Post(func() { served = true })
		if _, _, err := w.get(b); err != nil || time.Since(began) != 2*time.Second || !served {
			t.Errorf("%v after %v, others served: %v", err, time.Since(began), served)
		}
	})
}

func TestRequestThatWaitsForANameEndsWithTheLoop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.resolver.delay = time.Hour
		b := w.set("shop", endpoint("shop.example:80"))
		began := time.Now()
		var err error
		w.do(func() {
			w.loop.Stop()
			_, err = w.pool.Dial(b.Endpoints()[0], upstream.Want{})
		})
		if upstream.Reason(err) != "stopped" || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestNamesAreResolvedAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		ttl   time.Duration
		after time.Duration
	}{
		{"at their TTL", 30 * time.Second, 30 * time.Second},
		{"after a second at the earliest", 0, time.Second},
		{"after five minutes at the latest", time.Hour, 5 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.resolver.answer("shop.example", test.ttl, "10.0.0.1")
				w.set("shop", endpoint("shop.example:80"))
				began := time.Now()
				time.Sleep(2 * test.after)
				var got []time.Duration
				for _, asked := range w.resolver.times() {
					got = append(got, asked.Sub(began))
				}
				if len(got) != 3 || got[1] != test.after || got[2] != 2*test.after {
					t.Errorf("asked at %v", got)
				}
			})
		})
	}
}

func TestFailedResolution(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.1:80")
		w.resolver.answer("shop.example", time.Minute, "10.0.0.1")
		b := w.set("shop", endpoint("shop.example:80"))
		synctest.Wait()

		w.resolver.fail("shop.example", errNoServers)
		time.Sleep(time.Minute)
		if n := len(w.resolver.times()); n != 2 {
			t.Fatalf("asked %d times, want 2", n)
		}
		if _, _, err := w.get(b); err != nil {
			t.Errorf("the last good answer is not in use: %v", err)
		}
		time.Sleep(5 * time.Second)
		if n := len(w.resolver.times()); n != 3 {
			t.Errorf("asked %d times 5 s after a failure, want 3", n)
		}
		w.resolver.answer("shop.example", time.Minute, "10.0.0.1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		const want = "WARN cannot resolve the name of an endpoint; its last known addresses stay in use" +
			"|INFO the name of an endpoint resolves again"
		if got := strings.Join(w.log.all(), "|"); got != want {
			t.Errorf("logged %s", got)
		}
	})
}

func TestNameWithoutAnAddressRecovers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.1:80")
		w.resolver.fail("shop.example", errNoServers)
		b := w.set("shop", endpoint("shop.example:80"))
		if _, _, err := w.get(b); upstream.Reason(err) != "resolve" {
			t.Errorf("got %v", err)
		}
		w.resolver.answer("shop.example", time.Minute, "10.0.0.1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, _, err := w.get(b); err != nil {
			t.Error(err)
		}
	})
}

func TestAddressThatANameNoLongerHasIsNotReused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.origin("10.0.0.1:80")
		w.origin("10.0.0.2:80")
		w.resolver.answer("shop.example", time.Second, "10.0.0.1")
		b := w.set("shop", endpoint("shop.example:80"))
		idle, _ := w.mustGet(b)
		busy, _ := w.mustGet(b)
		w.put(idle)

		w.resolver.answer("shop.example", time.Minute, "10.0.0.2")
		time.Sleep(2 * time.Second)
		if c, reused := w.mustGet(b); reused || c.RemoteAddr().String() != "10.0.0.2:80" {
			t.Errorf("reused: %v, to %v", reused, c.RemoteAddr())
		}
		w.put(busy)
		if w.idle() != 0 || old.open() != 0 {
			t.Errorf("%d idle, %d open at the old address", w.idle(), old.open())
		}
	})
}

func TestNamesOfRemovedEndpointsAreNotResolved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.resolver.answer("shop.example", time.Second, "10.0.0.1")
		w.set("one", endpoint("shop.example:80"))
		w.set("two", endpoint("shop.example:81"))
		w.set("one")
		time.Sleep(time.Second)
		if n := len(w.resolver.times()); n != 2 {
			t.Errorf("while one backend still has the name it was asked %d times, want 2", n)
		}
		w.backends.Apply(&config.Delta{Reset: true})
		time.Sleep(time.Minute)
		if n := len(w.resolver.times()); n != 2 {
			t.Errorf("it was asked %d times, want no more than 2", n)
		}
	})
}
