package upstream_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// EndpointSlice conditions; terminating endpoints as in KEP-1669.
func TestUsableEndpoints(t *testing.T) {
	ready := config.Endpoint{Ready: true, Serving: true}
	notReady := config.Endpoint{}
	terminating := config.Endpoint{Serving: true, Terminating: true}
	dying := config.Endpoint{Terminating: true}
	for _, test := range []struct {
		name       string
		conditions []config.Endpoint
		want       []int
	}{
		{"ready ones", []config.Endpoint{ready, ready}, []int{0, 1}},
		{"none that is not ready, if one is", []config.Endpoint{notReady, ready}, []int{1}},
		{"none that terminates, if one is ready", []config.Endpoint{terminating, ready}, []int{1}},
		{"those that serve, if none is ready", []config.Endpoint{notReady, terminating, dying}, []int{1}},
		{"none", []config.Endpoint{notReady, dying}, nil},
		{"no endpoints", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var want []string
				for i := range test.conditions {
					e := endpoint(fmt.Sprintf("10.0.0.%d:80", i))
					test.conditions[i].Address = e.Address
					if slices.Contains(test.want, i) {
						want = append(want, e.Address.String())
					}
				}
				b := w.set("web", test.conditions...)
				if got := w.picks(b, 2*len(want)); got != strings.Join(append(want, want...), " ") {
					t.Errorf("picked %s, want %v in turn", got, want)
				}
				if _, err := w.pool.Pick(b, nil); (err == upstream.ErrNoEndpoints) != (len(want) == 0) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// EndpointSlice: an endpoint may be in more than one slice at a time.
func TestEndpointThatStandsTwiceIsOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first, again := endpoint("10.0.0.1:80"), endpoint("10.0.0.1:80")
		first.Ready = false
		b := w.set("web", first, again, endpoint("10.0.0.2:80"))
		if got := w.picks(b, 4); got != "10.0.0.1:80 10.0.0.2:80 10.0.0.1:80 10.0.0.2:80" {
			t.Errorf("picked %s", got)
		}
	})
}

func TestPickAvoidsWhatWasTried(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.set("web", endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80"))
		one, two, three := b.Endpoints()[0], b.Endpoints()[1], b.Endpoints()[2]
		for _, test := range []struct {
			tried []*upstream.Endpoint
			never []*upstream.Endpoint
		}{
			{[]*upstream.Endpoint{one}, []*upstream.Endpoint{one}},
			{[]*upstream.Endpoint{one, two}, []*upstream.Endpoint{one, two}},
			{[]*upstream.Endpoint{one, two, three}, []*upstream.Endpoint{three}},
		} {
			for range 6 {
				if e, err := w.pool.Pick(b, test.tried); err != nil || slices.Contains(test.never, e) {
					t.Errorf("tried %v: picked %v, %v", test.tried, e, err)
				}
			}
		}
		alone := w.set("alone", endpoint("10.0.0.1:80"))
		only := alone.Endpoints()[0]
		if e, err := w.pool.Pick(alone, []*upstream.Endpoint{only}); e != only || err != nil {
			t.Errorf("the only endpoint is tried again; got %v, %v", e, err)
		}
	})
}

func TestRoundRobinOfWorkersTogetherIsEven(t *testing.T) {
	bs := upstream.NewBackends(upstream.Options{Workers: 3})
	defer bs.Close()
	pools := []*upstream.Pool{bs.NewPool(nil), bs.NewPool(nil), bs.NewPool(nil)}
	bs.Apply(&config.Delta{Backends: []*config.Backend{{Name: "web", Endpoints: []config.Endpoint{
		endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80"),
	}}}})
	b := bs.Backend("web")
	for range 3 {
		picked := map[*upstream.Endpoint]bool{}
		for _, p := range pools {
			e, err := p.Pick(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			picked[e] = true
		}
		if len(picked) != 3 {
			t.Errorf("three workers picked %d different endpoints, want 3", len(picked))
		}
	}
}

func TestApplyKeepsWhatStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.origin("10.0.0.1:80")
		b := w.set("web", endpoint("10.0.0.1:80"))
		before := b.Endpoints()[0]
		c, _ := w.mustGet(b)
		w.put(c)

		changed := endpoint("10.0.0.1:80")
		changed.Ready = false
		w.set("web", endpoint("10.0.0.2:80"), changed)
		if after := b.Endpoints()[1]; after != before || after.Counters().Connects != 1 {
			t.Errorf("the endpoint that stayed has %+v", after.Counters())
		}
		if w.idle() != 1 {
			t.Error("the endpoint that stayed lost its idle connection")
		}
	})
}

func TestBackendIsALastingHandle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		early := w.backends.Backend("web")
		if _, err := w.pool.Pick(early, nil); err != upstream.ErrNoEndpoints {
			t.Errorf("before it is configured: %v", err)
		}
		w.set("web", endpoint("10.0.0.1:80"))
		w.backends.Apply(&config.Delta{Removed: []config.Ref{
			{Kind: config.KindRoute, Name: "web"}, {Kind: config.KindBackend, Name: "web"},
		}})
		if len(w.backends.All()) != 0 {
			t.Error("the backend is still there after its removal")
		}
		if got := w.picks(early, 1); got != "10.0.0.1:80" {
			t.Errorf("whoever holds a removed backend picked %q", got)
		}
		runtime.GC()
		w.set("web", endpoint("10.0.0.2:80"))
		if got := w.picks(early, 1); got != "10.0.0.2:80" {
			t.Errorf("after it was set again the holder picked %q", got)
		}
		if early.Name() != "web" || early.Protocol() != config.AppHTTP {
			t.Errorf("it is %q, %q", early.Name(), early.Protocol())
		}
	})
}

func TestResetRemovesWhatItDoesNotName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.set("one", endpoint("10.0.0.1:80"))
		w.set("two", endpoint("10.0.0.2:80"))
		w.backends.Apply(&config.Delta{Reset: true, Backends: []*config.Backend{{Name: "two"}}})
		all := w.backends.All()
		if len(all) != 1 || all[0].Name() != "two" || len(all[0].Endpoints()) != 0 {
			t.Errorf("after the reset there are %v", all)
		}
	})
}

// A delta may remove a name and set it again.
func TestSetWinsOverRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.set("web", endpoint("10.0.0.1:80"))
		w.backends.Apply(&config.Delta{
			Backends: []*config.Backend{{Name: "web", Endpoints: []config.Endpoint{endpoint("10.0.0.2:80")}}},
			Removed:  []config.Ref{{Kind: config.KindBackend, Name: "web"}},
		})
		if got := w.picks(w.backends.Backend("web"), 1); got != "10.0.0.2:80" {
			t.Errorf("picked %q", got)
		}
	})
}

// picks are the next n endpoints in turn.
func (w *world) picks(b *upstream.Backend, n int) string {
	var picked []string
	for range n {
		e, err := w.pool.Pick(b, nil)
		if err != nil {
			return err.Error()
		}
		picked = append(picked, e.String())
	}
	return strings.Join(picked, " ")
}

// What nobody holds is forgotten; what somebody holds must not be.
func TestHeldBackendsOutliveManyOthers(t *testing.T) {
	bs := upstream.NewBackends(upstream.Options{Workers: 1})
	defer bs.Close()
	held := map[string]*upstream.Backend{}
	for i := range 1000 {
		name := fmt.Sprint("backend-", i)
		b := bs.Backend(name)
		if i%10 == 0 {
			held[name] = b
		}
		if i%100 == 0 {
			runtime.GC()
		}
	}
	for name, b := range held {
		if bs.Backend(name) != b {
			t.Fatalf("%s is another backend now", name)
		}
	}
}
