package tlsconn

import (
	"net"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// turns lets one handshake in a turn of the loop do its sums, which take as
// long as dozens of requests: a flood of them leaves time for the requests.
// The newest comes first: where more begin than can end, those that have waited
// long are given up anyway, and a queue would do the sums of none but them.
type turns struct {
	loop    loop.Loop
	last    time.Time // the loop's time in the turn that a handshake has had last
	planned bool      // next is to be called
	away    bool      // a handshake does its sums beside the loop
	due     bool      // next waits for that
	waiting []*turn   // the oldest first
}

type turn struct {
	raw    loop.Conn
	waiter loop.Waiter
	lost   bool
}

// wait returns when it is the caller's turn.
func (t *turns) wait(raw loop.Conn, deadline time.Time) error {
	if now := t.loop.Now(); !t.planned && !t.away && !now.Equal(t.last) {
		t.last = now
		return nil
	}
	if !t.planned {
		t.planned = true
		t.loop.Post(t.next)
	}
	mine := &turn{raw: raw, waiter: t.loop.NewWaiter()}
	t.waiting = append(t.waiting, mine)
	err := mine.waiter.Wait(deadline)
	if mine.lost {
		return net.ErrClosed
	}
	if err != nil {
		t.remove(slices.Index(t.waiting, mine))
	}
	return err
}

// next begins a turn.
func (t *turns) next() {
	if t.away {
		t.due = true
		return
	}
	last := len(t.waiting) - 1
	if last < 0 {
		t.planned, t.waiting = false, nil
		return
	}
	t.waiting[last].waiter.Wake()
	t.remove(last)
	t.loop.Post(t.next)
}

// leave lets a handshake do sums beside the loop, unless another one does.
func (t *turns) leave() bool {
	if t.away {
		return false
	}
	t.away = true
	return true
}

// back ends that.
func (t *turns) back() {
	t.away = false
	if t.due {
		t.due = false
		t.loop.Post(t.next)
	}
}

// lose ends the wait of a connection, if it waits.
func (t *turns) lose(raw loop.Conn) {
	i := slices.IndexFunc(t.waiting, func(w *turn) bool { return w.raw == raw })
	if i >= 0 {
		t.waiting[i].lost = true
		t.waiting[i].waiter.Wake()
	}
	t.remove(i)
}

func (t *turns) remove(i int) {
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
}
