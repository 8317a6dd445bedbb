package tlsconn

import (
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// turns lets one handshake in a turn of the loop do its sums, which take as
// long as dozens of requests: a flood of them leaves time for the requests.
type turns struct {
	loop    loop.Loop
	taken   bool
	waiting []loop.Waiter
}

// wait returns when it is the caller's turn.
func (t *turns) wait(deadline time.Time) error {
	if !t.taken {
		t.taken = true
		t.loop.Post(t.next)
		return nil
	}
	w := t.loop.NewWaiter()
	t.waiting = append(t.waiting, w)
	return w.Wait(deadline)
}

// next begins a turn. One who has given up meanwhile lets it pass.
func (t *turns) next() {
	if len(t.waiting) == 0 {
		t.taken, t.waiting = false, nil
		return
	}
	t.waiting[0].Wake()
	t.waiting = t.waiting[1:]
	t.loop.Post(t.next)
}
