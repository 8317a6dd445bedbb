package looptest

import (
	"os"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

var waitTests = map[string]func(*testing.T, Engine){
	"Wake ends a Wait":                          testWake,
	"a Wake before the Wait is remembered once": testStickyWake,
	"Wait ends at its deadline":                 testWaitDeadline,
	"a deadline ends with its wait":             testDeadlineEnds,
	"Sleep waits":                               testSleep,
	"Await lets the loop go on":                 testAwait,
	"many Awaits end":                           testManyAwaits,
	"AfterFunc runs once, and again on Reset":   testAfterFunc,
	"a stopped timer does not run":              testTimerStop,
	"a timer that is due can still be stopped":  testDueTimerStop,
	"timers run in the order of their times":    testTimerOrder,
	"timers of one time run as they were set":   testEqualTimers,
}

func testWake(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		w := f.loop.NewWaiter()
		woken := false
		f.loop.Go(func() {
			woken = true
			w.Wake()
		})
		if err := w.Wait(time.Time{}); err != nil || !woken {
			t.Errorf("Wait: %v, woken %t", err, woken)
		}
	})
}

func testStickyWake(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		w := f.loop.NewWaiter()
		w.Wake()
		w.Wake()
		if err := w.Wait(time.Time{}); err != nil {
			t.Errorf("the first Wait: %v", err)
		}
		if err := w.Wait(f.loop.Now().Add(20 * time.Millisecond)); err != os.ErrDeadlineExceeded {
			t.Errorf("the second Wait: %v, want os.ErrDeadlineExceeded", err)
		}
	})
}

func testWaitDeadline(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		w := f.loop.NewWaiter()
		if err := w.Wait(f.loop.Now().Add(20 * time.Millisecond)); err != os.ErrDeadlineExceeded {
			t.Errorf("Wait: %v, want os.ErrDeadlineExceeded", err)
		}
		if err := w.Wait(time.Unix(1, 0)); err != os.ErrDeadlineExceeded {
			t.Errorf("Wait for the past: %v, want os.ErrDeadlineExceeded", err)
		}
		f.loop.Go(w.Wake)
		if err := w.Wait(f.loop.Now().Add(time.Hour)); err != nil {
			t.Errorf("Wait after a deadline: %v", err)
		}
	})
}

func testDeadlineEnds(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		w := f.loop.NewWaiter()
		f.loop.Go(w.Wake)
		if err := w.Wait(f.loop.Now().Add(20 * time.Millisecond)); err != nil {
			t.Errorf("the first Wait: %v", err)
		}
		f.loop.AfterFunc(60*time.Millisecond, w.Wake)
		if err := w.Wait(time.Time{}); err != nil {
			t.Errorf("a Wait without a deadline: %v", err)
		}
	})
}

func testSleep(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		began := time.Now()
		if err := f.loop.Sleep(30 * time.Millisecond); err != nil {
			t.Errorf("Sleep: %v", err)
		}
		if slept := time.Since(began); slept < 20*time.Millisecond {
			t.Errorf("slept %v, want 30ms to within 10", slept)
		}
	})
}

func testAwait(t *testing.T, e Engine) {
	f := start(t, e, 1)
	release := make(chan struct{})
	awaited := false
	done := f.begin(func() {
		f.loop.Await(func() {
			<-release
			awaited = true
		})
		if !awaited {
			t.Error("Await returned before its function")
		}
	})
	f.post(func() { close(release) }) // the loop still runs
	<-done
}

func testManyAwaits(t *testing.T, e Engine) {
	f := start(t, e, 1)
	ended := 0
	f.handle(func() {
		w := f.loop.NewWaiter()
		for range 1000 {
			f.loop.Go(func() {
				f.loop.Await(func() {})
				ended++
				w.Wake()
			})
		}
		for ended < 1000 {
			if err := w.Wait(time.Time{}); err != nil {
				t.Errorf("Wait: %v", err)
				return
			}
		}
	})
}

func testAfterFunc(t *testing.T, e Engine) {
	f := start(t, e, 1)
	ran := make(chan struct{}, 2)
	var timer loop.Timer
	f.post(func() { timer = f.loop.AfterFunc(10*time.Millisecond, func() { ran <- struct{}{} }) })
	<-ran
	f.post(func() {
		if timer.Stop() {
			t.Error("Stop of a timer that has run: true")
		}
		timer.Reset(10 * time.Millisecond)
	})
	<-ran
}

func testTimerStop(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.handle(func() {
		timer := f.loop.AfterFunc(20*time.Millisecond, func() { t.Error("a stopped timer ran") })
		if !timer.Stop() {
			t.Error("Stop: false, want true")
		}
		if timer.Stop() {
			t.Error("a second Stop: true, want false")
		}
		f.loop.Sleep(60 * time.Millisecond)
	})
}

func testDueTimerStop(t *testing.T, e Engine) {
	f := start(t, e, 1)
	f.post(func() {
		timer := f.loop.AfterFunc(time.Millisecond, func() { t.Error("a stopped timer ran") })
		time.Sleep(40 * time.Millisecond) // the loop is busy meanwhile
		if !timer.Stop() {
			t.Error("Stop: false, want true")
		}
	})
	f.handle(func() { f.loop.Sleep(30 * time.Millisecond) })
}

func testTimerOrder(t *testing.T, e Engine) {
	f := start(t, e, 1)
	order := make(chan int, 4)
	f.post(func() {
		for i, d := range []time.Duration{150, 0, 100, 50} {
			f.loop.AfterFunc(d*time.Millisecond, func() { order <- i })
		}
	})
	for _, want := range []int{1, 3, 2, 0} {
		if got := <-order; got != want {
			t.Errorf("timer %d ran, want %d", got, want)
		}
	}
}

func testEqualTimers(t *testing.T, e Engine) {
	const timers = 100
	f := start(t, e, 1)
	order := make(chan int, timers)
	f.post(func() {
		for i := range timers {
			f.loop.AfterFunc(10*time.Millisecond, func() { order <- i })
		}
	})
	for want := range timers {
		if got := <-order; got != want {
			t.Fatalf("timer %d ran, want %d", got, want)
		}
	}
}
