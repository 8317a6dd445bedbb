package looptest

import (
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

var loopTests = map[string]func(*testing.T, Engine){
	"a busy connection does not starve the others": testFairness,
	"handlers run one at a time":                   testOneAtATime,
	"Post keeps the order of each goroutine":       testPostOrder,
	"a turn ends when its handlers have run":       testTurnEnd,
	"Post is refused once the loop has ended":      testPostAfterEnd,
	"functions posted before Stop run":             testPostBeforeStop,
	"a panic ends its handler only":                testPanic,
	"a panic in Await reaches its handler":         testAwaitPanic,
	"a panic outside any handler is reported":      testPanicOutside,
	"Stop ends handlers that wait":                 testStopUnwinds,
	"Stop waits for Await":                         testStopAwait,
	"waiting after Stop fails":                     testWaitAfterStop,
	"Stop before Run":                              testStopBeforeRun,
	"Stop closes idle connections and listeners":   testStopCloses,
	"whatever peers do, every handler ends":        testChaos,
	"what is set up before Run is served":          testBeforeRun,
	"dial reaches an origin":                       testDial,
	"dial reaches a unix socket":                   testDialUnix,
	"dial to a unix socket that is not there":      testDialUnixMissing,
	"dial to nobody is refused":                    testDialRefused,
}

func testOneAtATime(t *testing.T, e Engine) {
	f := start(t, e, 1)
	addr := f.serve(echo)
	inside := 0 // without a lock: the race detector watches, too
	f.handle(func() {
		w := f.loop.NewWaiter()
		left := 50
		for i := range left {
			f.loop.Go(func() {
				for range 10 {
					inside++
					if inside != 1 {
						t.Errorf("%d handlers run at once", inside)
					}
					inside--
					f.loop.Sleep(time.Duration(i%3) * time.Millisecond)
				}
				left--
				w.Wake()
			})
		}
		for left > 0 {
			w.Wait(time.Time{})
		}
	})
	client := f.dial(addr)
	say(t, client, "x")
	hear(t, client, "x")
}

func testPostOrder(t *testing.T, e Engine) {
	const goroutines, posts = 8, 1000
	f := start(t, e, 1)
	var last [goroutines]int
	var posting sync.WaitGroup
	for g := range goroutines {
		posting.Go(func() {
			for i := range posts {
				f.loop.Post(func() {
					if last[g] != i {
						t.Errorf("post %d of goroutine %d ran, want %d", i, g, last[g])
					}
					last[g]++
				})
			}
		})
	}
	posting.Wait()
	f.post(func() {
		for g, n := range last {
			if n != posts {
				t.Errorf("%d posts of goroutine %d ran, want %d", n, g, posts)
			}
		}
	})
}

func testTurnEnd(t *testing.T, e Engine) {
	const handlers = 20
	f := start(t, e, 1)
	addr := f.serve(echo)
	ran := 0
	f.handle(func() {
		ended := f.loop.NewWaiter()
		for range handlers {
			f.loop.Go(func() { ran++ })
		}
		f.loop.AtTurnEnd(func() {
			if ran != handlers {
				t.Errorf("the turn ended when %d of %d handlers had run", ran, handlers)
			}
			f.loop.AtTurnEnd(func() { f.loop.Go(ended.Wake) })
		})
		ended.Wait(time.Time{})
	})
	f.post(func() { f.loop.AtTurnEnd(func() { panic("ouch") }) })
	if v := <-f.panics; v != "ouch" {
		t.Errorf("OnPanic got %v", v)
	}
	client := f.dial(addr) // a loop that sleeps after AtTurnEnd would not hear this
	say(t, client, "x")
	hear(t, client, "x")
}

func testPostAfterEnd(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	f.stop()
	if f.loop.Post(func() { t.Error("ran") }) {
		t.Error("Post: true, want false")
	}
}

func testPostBeforeStop(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	ran := 0
	for range 10 {
		f.loop.Post(func() { ran++ })
	}
	f.loop.Stop()
	f.run()
	f.stop()
	if ran != 10 {
		t.Errorf("%d of 10 functions ran", ran)
	}
}

func testPanic(t *testing.T, e Engine) {
	f := start(t, e, 1)
	for range 3 {
		f.handle(func() { panic("ouch") })
		if v := <-f.panics; v != "ouch" {
			t.Errorf("OnPanic got %v", v)
		}
	}
	f.handle(func() {
		if err := f.loop.Sleep(0); err != nil {
			t.Errorf("a handler after the panic: %v", err)
		}
	})
}

func testAwaitPanic(t *testing.T, e Engine) {
	f := start(t, e, 1)
	recovered := false
	f.handle(func() {
		defer func() { recovered = recover() != nil }()
		f.loop.Await(func() { panic("ouch") })
	})
	if !recovered {
		t.Error("the handler did not see the panic")
	}
}

func testPanicOutside(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.loop.Post(func() { panic("ouch") })
	if v := <-f.panics; v != "ouch" {
		t.Errorf("OnPanic got %v", v)
	}
	f.post(func() {})
}

func testStopUnwinds(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	_, reading := f.connect()
	_, writing := f.connect()
	waits := map[string]func() error{
		"Read":  func() error { _, err := reading.Read(make([]byte, 1)); return err },
		"Write": func() error { _, err := writing.Write(make([]byte, 32<<20)); return err },
		"Sleep": func() error { return f.loop.Sleep(time.Hour) },
		"Wait":  func() error { return f.loop.NewWaiter().Wait(time.Time{}) },
		"Wait with a deadline": func() error {
			return f.loop.NewWaiter().Wait(f.loop.Now().Add(time.Hour))
		},
	}
	deferred := 0
	for name, wait := range waits {
		f.begin(func() {
			defer func() { deferred++ }()
			if err := wait(); err != loop.ErrStopped {
				t.Errorf("%s: %v, want loop.ErrStopped", name, err)
			}
		})
	}
	f.post(func() {}) // all have begun
	f.stop()
	if deferred != len(waits) {
		t.Errorf("%d of %d handlers have unwound", deferred, len(waits))
	}
}

func testStopAwait(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	running, release := make(chan struct{}), make(chan struct{})
	ended := false
	f.begin(func() {
		f.loop.Await(func() {
			close(running)
			<-release
			time.Sleep(50 * time.Millisecond) // work that blocks
		})
		ended = true
	})
	<-running
	f.loop.Stop()
	close(release)
	f.stop()
	if !ended {
		t.Error("Run returned before a handler in Await had ended")
	}
}

func testWaitAfterStop(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	addr := f.serve(echo)
	f.begin(func() {
		f.loop.Sleep(time.Hour)
		_, dialErr := f.loop.Dial("tcp", addr.String(), time.Time{})
		_, listenErr := f.loop.Listen(anyPort, func(loop.Conn) {})
		for what, err := range map[string]error{
			"Sleep":  f.loop.Sleep(time.Hour),
			"Wait":   f.loop.NewWaiter().Wait(time.Time{}),
			"Dial":   dialErr,
			"Listen": listenErr,
		} {
			if err != loop.ErrStopped {
				t.Errorf("%s after Stop: %v, want loop.ErrStopped", what, err)
			}
		}
		f.loop.Await(func() {})
	})
	f.post(func() {})
	f.stop()
}

func testStopBeforeRun(t *testing.T, e Engine) {
	f := prepare(t, e, 2)
	for _, l := range f.loops {
		l.Stop()
	}
	f.run()
	f.stop()
}

func testStopCloses(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	f.run()
	addr := f.serve(echo)
	client, _ := f.connect()
	f.stop()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection is still open")
	}
	again := start(t, e, 1)
	if !e.Bubble { // else it is another network
		again.listen(again.loop, addr, func(loop.Conn) {})
	}
}

func testBeforeRun(t *testing.T, e Engine) {
	f := prepare(t, e, 1)
	handled := make(chan struct{})
	f.loop.Go(func() { close(handled) })
	l, err := f.loop.Listen(anyPort, func(c loop.Conn) { c.Loop().Go(func() { echo(c); c.Close() }) })
	if err != nil {
		t.Fatal(err)
	}
	f.run()
	t.Cleanup(f.stop)
	<-handled
	client := f.dial(l.Addr())
	say(t, client, "x")
	hear(t, client, "x")
}
