package portable

import (
	"container/heap"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// AfterFunc implements loop.Loop.
func (l *Loop) AfterFunc(d time.Duration, fn func()) loop.Timer {
	t := &timer{loop: l, fn: fn, place: notPending}
	t.Reset(d)
	return t
}

type timer struct {
	loop   *Loop
	fn     func()
	at     time.Time
	serial uint64
	place  int         // in loop.timers.pending, or notPending
	alarm  *time.Timer // has the loop run what is due
}

const notPending = -1

// Stop implements loop.Timer.
func (t *timer) Stop() bool {
	if t.place == notPending {
		return false
	}
	t.alarm.Stop()
	heap.Remove(&t.loop.timers, t.place)
	return true
}

// Reset implements loop.Timer.
func (t *timer) Reset(d time.Duration) {
	t.Stop()
	timers := &t.loop.timers
	timers.serial++
	t.at, t.serial = time.Now().Add(d), timers.serial
	heap.Push(timers, t)
	t.alarm = time.AfterFunc(d, func() { t.loop.Post(t.loop.runTimers) })
}

// runTimers runs what is due. What that sets anew waits for its own alarm.
func (l *Loop) runTimers() {
	now, last := time.Now(), l.timers.serial
	for len(l.timers.pending) > 0 && !l.ending {
		t := l.timers.pending[0]
		if t.at.After(now) || t.serial > last {
			return
		}
		t.Stop()
		l.protect(t.fn)
	}
}

// timers are the pending ones, a heap by their times: the alarms of timers that
// are due together come in any order.
type timers struct {
	pending []*timer
	serial  uint64 // of the last Reset
}

// Len implements heap.Interface.
func (ts *timers) Len() int { return len(ts.pending) }

// Less implements heap.Interface.
func (ts *timers) Less(i, j int) bool {
	a, b := ts.pending[i], ts.pending[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.serial < b.serial
}

// Swap implements heap.Interface.
func (ts *timers) Swap(i, j int) {
	p := ts.pending
	p[i], p[j] = p[j], p[i]
	p[i].place, p[j].place = i, j
}

// Push implements heap.Interface.
func (ts *timers) Push(x any) {
	t := x.(*timer)
	t.place = len(ts.pending)
	ts.pending = append(ts.pending, t)
}

// Pop implements heap.Interface.
func (ts *timers) Pop() any {
	last := len(ts.pending) - 1
	t := ts.pending[last]
	ts.pending[last] = nil
	ts.pending = ts.pending[:last]
	t.place = notPending
	return t
}
