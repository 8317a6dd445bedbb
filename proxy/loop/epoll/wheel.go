//go:build linux

package epoll

import "time"

// tick is the loop's unit of time: a moment is a number of ticks, and never 0.
type tick int64

const (
	tickTime = 10 * time.Millisecond
	// never is no time: the zero time.Time.
	never tick = 0
	// wheelSize is how many ticks a round has, 5.12 s.
	wheelSize = 512
)

// clock turns times into ticks: deadlines are rounded up, the present down, so
// that none passes early.
type clock struct{ epoch time.Time }

// start makes the tick of now the first.
func (c *clock) start(now time.Time) { c.epoch = now.Add(-tickTime) }

// tick returns the present's tick.
func (c *clock) tick(now time.Time) tick { return tick(now.Sub(c.epoch) / tickTime) }

// deadline returns t's tick: for all that is past 1, for what lies more than a
// century ahead the same.
func (c *clock) deadline(t time.Time) tick {
	const century = 100 * 365 * 24 * time.Hour
	if t.IsZero() {
		return never
	}
	d := min(t.Sub(c.epoch), century)
	return max(1, tick((d+tickTime-1)/tickTime))
}

func (c *clock) time(at tick) time.Time {
	if at == never {
		return time.Time{}
	}
	return c.epoch.Add(time.Duration(at) * tickTime)
}

// timer is a link in the wheel, embedded in what it is for.
type timer struct {
	next, prev *timer // nil if not armed
	at         tick
	owner      interface{ expired() } // called outside any handler
}

func (t *timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

// ring is a circle of timers through a head that is none.
type ring struct{ head timer }

func (r *ring) start() { r.head.next, r.head.prev = &r.head, &r.head }

func (r *ring) push(t *timer) {
	t.next, t.prev = &r.head, r.head.prev
	t.prev.next, r.head.prev = t, t
}

func (r *ring) empty() bool { return r.head.next == &r.head }

// wheel is a hashed timing wheel: a timer stands in the slot of its tick modulo
// the wheel's size, in whatever round.
type wheel struct {
	now      tick
	armed    int
	earliest tick // no timer is due before; never if none is armed
	slots    [wheelSize]slot
	due      ring
}

type slot struct {
	ring
	earliest tick // no timer here is due before
}

func (w *wheel) start(now tick) {
	w.now = now
	w.due.start()
	for i := range w.slots {
		w.slots[i].start()
	}
}

// arm has t expire at a tick, or at the next one if that has passed.
func (w *wheel) arm(t *timer, at tick) {
	w.disarm(t)
	t.at = max(at, w.now+1)
	s := &w.slots[t.at%wheelSize]
	if s.empty() || t.at < s.earliest {
		s.earliest = t.at
	}
	s.push(t)
	w.armed++
	if w.earliest == never || t.at < w.earliest {
		w.earliest = t.at
	}
}

// disarm may be called for a timer that is not armed. It leaves earliest alone:
// a turn in vain now and then is cheaper than to look for the next timer.
func (w *wheel) disarm(t *timer) {
	if t.next == nil {
		return
	}
	t.unlink()
	w.armed--
	if w.armed == 0 {
		w.earliest = never
	}
}

// advance makes now the present and lets due timers expire.
func (w *wheel) advance(now tick) {
	if w.earliest == never || now < w.earliest {
		w.now = now
		return
	}
	for at := max(w.earliest, now-wheelSize+1); at <= now; at++ {
		w.collect(&w.slots[at%wheelSize], now)
	}
	w.now = now
	w.findEarliest()
	for !w.due.empty() {
		t := w.due.head.next
		w.disarm(t)
		t.owner.expired()
	}
}

// collect moves the due timers of s to w.due.
func (w *wheel) collect(s *slot, now tick) {
	s.earliest = never
	for t := s.head.next; t != &s.head; {
		next := t.next
		switch {
		case t.at <= now:
			t.unlink()
			w.due.push(t)
		case s.earliest == never || t.at < s.earliest:
			s.earliest = t.at
		}
		t = next
	}
}

func (w *wheel) findEarliest() {
	w.earliest = never
	for i := range w.slots {
		s := &w.slots[i]
		if !s.empty() && (w.earliest == never || s.earliest < w.earliest) {
			w.earliest = s.earliest
		}
	}
}
