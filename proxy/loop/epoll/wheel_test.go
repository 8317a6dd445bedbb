//go:build linux

package epoll

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// alarm notes when it expires.
type alarm struct {
	timer
	wheel   *wheel
	expires []tick
}

func (a *alarm) expired() { a.expires = append(a.expires, a.wheel.now) }

func newAlarm(w *wheel) *alarm {
	a := &alarm{wheel: w}
	a.owner = a
	return a
}

func newWheel(now tick) *wheel {
	w := new(wheel)
	w.start(now)
	return w
}

// Whatever is armed, moved and disarmed, each timer expires once, at the first
// advance to its tick or past it, and earliest is never later than the next one.
func TestWheelKeepsAllTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := newWheel(1)
	alarms := make([]*alarm, 200)
	due := make([]tick, len(alarms)) // never: not armed
	for i := range alarms {
		alarms[i] = newAlarm(w)
	}
	for w.now < 20*wheelSize {
		for range random.IntN(20) {
			i := random.IntN(len(alarms))
			if random.IntN(3) == 0 {
				w.disarm(&alarms[i].timer)
				due[i] = never
				continue
			}
			due[i] = w.now + 1 + tick(random.IntN(3*wheelSize))
			w.arm(&alarms[i].timer, due[i])
		}
		checkEarliest(t, w, due)
		w.advance(w.now + 1 + tick(random.IntN(random.IntN(2*wheelSize)+1)))
		for i, a := range alarms {
			want := due[i] != never && due[i] <= w.now
			if got := slices.Contains(a.expires, w.now); got != want || len(a.expires) > 1 {
				t.Fatalf("tick %d: timer for %d has expired at %v", w.now, due[i], a.expires)
			}
			if want {
				due[i] = never
			}
			a.expires = nil
		}
	}
}

func checkEarliest(t *testing.T, w *wheel, due []tick) {
	t.Helper()
	for _, at := range due {
		if at != never && (w.earliest == never || w.earliest > at) {
			t.Fatalf("earliest is %d, but a timer is due at %d", w.earliest, at)
		}
	}
}

func TestWheelHasNothingToWaitForWithoutTimers(t *testing.T) {
	w := newWheel(1)
	a := newAlarm(w)
	w.arm(&a.timer, 100)
	w.disarm(&a.timer)
	if w.earliest != never {
		t.Errorf("earliest is %d after the last timer was disarmed", w.earliest)
	}
}

func TestWheelExpiresThePastSoon(t *testing.T) {
	w := newWheel(100)
	a := newAlarm(w)
	w.arm(&a.timer, 5)
	w.advance(101)
	if !slices.Equal(a.expires, []tick{101}) {
		t.Errorf("a timer for the past expired at %v, want the next tick", a.expires)
	}
}

func TestClockRoundsDeadlinesUp(t *testing.T) {
	var c clock
	start := time.Now()
	c.start(start)
	for _, d := range []time.Duration{0, 1, tickTime - 1, tickTime, tickTime + 1, time.Hour} {
		at := c.deadline(start.Add(d))
		if early := start.Add(d - 1); c.tick(early) >= at {
			t.Errorf("a deadline in %v has passed before", d)
		}
		if late := start.Add(d + tickTime); c.tick(late) < at {
			t.Errorf("a deadline in %v has not passed a tick later", d)
		}
	}
	if c.deadline(time.Time{}) != never {
		t.Error("the zero time is a deadline")
	}
	if at := c.deadline(time.Unix(1, 0)); at == never || at > c.tick(start) {
		t.Errorf("a time long past is tick %d", at)
	}
	if at := c.deadline(start.Add(1<<63 - 1)); at < c.deadline(start.Add(time.Hour)) {
		t.Errorf("a time far ahead is tick %d", at)
	}
}
