package portable

import (
	"io"
	"os"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// lookahead is how many bytes a lookout reads at most: a small request's head.
const lookahead = 1 << 10

// lookout is one read that began before a handler asked for bytes.
type lookout struct {
	done chan struct{} // closed when the rest is there
	room [lookahead]byte
	left []byte
	err  error
}

// look starts a lookout, unless there is one.
func (c *Conn) look() {
	if c.lookout != nil || c.closed != nil {
		return
	}
	s := &lookout{done: make(chan struct{})}
	c.lookout = s
	c.loop.helpers.Go(func() {
		n, err := c.raw.Read(s.room[:])
		s.left, s.err = s.room[:n], err
		close(s.done)
		c.loop.Post(func() { c.looked(s) })
	})
}

// looked acts on what a lookout found, if that was not read meanwhile.
func (c *Conn) looked(s *lookout) {
	if c.lookout != s || c.closed != nil {
		return
	}
	if timedOut(s) {
		c.lookout = nil
		c.timedOut()
		return
	}
	if s.err != io.EOF && len(s.left) == 0 {
		s.err = c.seen(s.err)
	}
	c.callNotify(nil)
}

// timedOut acts on a lookout's end by a deadline. If that was moved on
// meanwhile, the next lookout takes over.
func (c *Conn) timedOut() {
	switch {
	case !c.expired():
		if c.notify != nil || c.abort != nil {
			c.look()
		}
	default:
		c.callNotify(os.ErrDeadlineExceeded)
	}
}

func timedOut(s *lookout) bool {
	return len(s.left) == 0 && s.err != nil && isTimeout(s.err)
}

func (c *Conn) callNotify(err error) {
	if fn := c.notify; fn != nil {
		c.notify = nil
		fn(err)
	}
}

// readAhead returns what the lookout has read: ErrAgain if it is not done yet
// or has found nothing, when c.lookout is nil. An error stays for the next call.
func (c *Conn) readAhead(p []byte) (int, error) {
	s := c.lookout
	select {
	case <-s.done:
	default:
		return 0, loop.ErrAgain
	}
	if timedOut(s) {
		c.lookout = nil
		return 0, loop.ErrAgain
	}
	if len(s.left) == 0 && s.err != nil {
		return 0, c.seen(s.err)
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	if len(s.left) == 0 && s.err == nil {
		c.lookout = nil
	}
	return n, nil
}

// TryRead implements loop.Conn. Without a lookout it starts one and finds
// nothing yet; so it is at its best after a Notify.
func (c *Conn) TryRead(p []byte) (int, error) {
	if c.closed != nil {
		return 0, c.closed
	}
	if c.lookout == nil {
		c.look()
		return 0, loop.ErrAgain
	}
	return c.readAhead(p)
}

// Notify implements loop.Conn.
func (c *Conn) Notify(fn func(error)) {
	c.notify = fn
	switch s := c.lookout; {
	case c.closed != nil:
		c.loop.Post(func() { c.callNotify(c.closed) })
	case s == nil:
		c.look()
	default:
		select {
		case <-s.done:
			c.loop.Post(func() { c.looked(s) })
		default: // it will call looked
		}
	}
}

// StopNotify implements loop.Conn. What was read ahead stays for the next Read.
func (c *Conn) StopNotify() bool {
	pending := c.notify != nil
	c.notify = nil
	return pending
}
