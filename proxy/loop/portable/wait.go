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
