package portable

import (
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// NewWaiter implements loop.Loop.
func (l *Loop) NewWaiter() loop.Waiter {
	return &waiter{loop: l, woken: make(chan struct{}, 1)}
}

type waiter struct {
	loop  *Loop
	woken chan struct{}
}

// Wake implements loop.Waiter.
func (w *waiter) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Wait implements loop.Waiter.
func (w *waiter) Wait(deadline time.Time) (err error) {
	select {
	case <-w.woken:
		return nil
	default:
	}
	expired, stop := after(deadline)
	defer stop()
	w.loop.wait("Wait", func() {
		select {
		case <-w.woken:
		case <-expired:
			err = os.ErrDeadlineExceeded
		case <-w.loop.stopped:
			err = loop.ErrStopped
		}
	})
	return err
}

// after returns a channel that receives at t, or never if t is zero.
func after(t time.Time) (expired <-chan time.Time, stop func() bool) {
	if t.IsZero() {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, timer.Stop
}

// AfterFunc implements loop.Loop.
func (l *Loop) AfterFunc(d time.Duration, fn func()) loop.Timer {
	t := &timer{loop: l, fn: fn}
	t.Reset(d)
	return t
}

type timer struct {
	loop    *Loop
	fn      func()
	pending *time.Timer // nil once fn has run or Stop was called
	round   int         // of Reset
}

// Stop implements loop.Timer.
func (t *timer) Stop() bool {
	if t.pending == nil {
		return false
	}
	t.pending.Stop()
	t.pending = nil
	return true
}

// Reset implements loop.Timer.
func (t *timer) Reset(d time.Duration) {
	t.Stop()
	t.round++
	round := t.round
	t.pending = time.AfterFunc(d, func() {
		t.loop.Post(func() { t.expire(round) })
	})
}

// expire runs fn, unless the timer was stopped or reset after it had expired.
func (t *timer) expire(round int) {
	if t.pending != nil && t.round == round && !t.loop.ending {
		t.pending = nil
		t.fn()
	}
}
