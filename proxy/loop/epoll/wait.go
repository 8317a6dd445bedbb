//go:build linux

package epoll

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// NewWaiter implements loop.Loop.
func (l *Loop) NewWaiter() loop.Waiter { return &waiter{loop: l} }

type waiter struct {
	loop    *Loop
	waiting *coroutine
	woken   bool
}

// Wait implements loop.Waiter.
func (w *waiter) Wait(deadline time.Time) error {
	if w.woken {
		w.woken = false
		return nil
	}
	w.waiting = w.loop.mustWait("Wait")
	err := w.waiting.park(w.loop.clock.deadline(deadline))
	w.waiting = nil
	return err
}

// Wake implements loop.Waiter.
func (w *waiter) Wake() {
	if w.waiting == nil || !w.waiting.resume(nil) {
		w.woken = true
	}
}

// AfterFunc implements loop.Loop.
func (l *Loop) AfterFunc(d time.Duration, fn func()) loop.Timer {
	f := &afterFunc{loop: l, fn: fn}
	f.timer.owner = f
	f.Reset(d)
	return f
}

type afterFunc struct {
	loop  *Loop
	timer timer
	fn    func()
}

// Stop implements loop.Timer.
func (f *afterFunc) Stop() bool {
	armed := f.timer.next != nil
	f.loop.wheel.disarm(&f.timer)
	return armed
}

// Reset implements loop.Timer.
func (f *afterFunc) Reset(d time.Duration) {
	f.loop.wheel.arm(&f.timer, f.loop.after(d))
}

func (f *afterFunc) expired() {
	if !f.loop.ending {
		f.loop.protect(f.fn)
	}
}
