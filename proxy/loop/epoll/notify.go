//go:build linux

package epoll

import (
	"os"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Notify implements loop.Conn. It promises that a Read would not wait. Epoll
// reports what is true when the turn begins; so if the connection was read in
// this turn already, peek looks again.
func (c *Conn) Notify(fn func(error)) {
	c.notify = fn
	if c.readable || c.closed != nil {
		c.loop.notifiable = append(c.loop.notifiable, c)
	}
	c.armNotify()
}

// armNotify sets the deadline of a Notify.
func (c *Conn) armNotify() {
	if c.readBy == never {
		c.loop.wheel.disarm(&c.notifyDue)
		return
	}
	c.loop.wheel.arm(&c.notifyDue, c.readBy)
}

// StopNotify implements loop.Conn.
func (c *Conn) StopNotify() bool {
	pending := c.notify != nil
	c.notify = nil
	c.loop.wheel.disarm(&c.notifyDue)
	return pending
}

// expired implements notifyDue's owner.
func (c *Conn) expired() { c.callNotify(os.ErrDeadlineExceeded) }

func (c *Conn) callNotify(err error) {
	fn := c.notify
	c.StopNotify()
	defer c.loop.recovered()
	fn(err)
}

// peek reports whether there is something to read.
func (c *Conn) peek() bool {
	var room [1]byte
	_, err := c.receive(room[:], msgPeek)
	return err != loop.ErrAgain
}

// notifyReadable calls the Notifys of connections that need not wait.
func (l *Loop) notifyReadable() {
	batch := l.notifiable
	l.notifiable = nil
	for _, c := range batch {
		switch {
		case c.notify == nil:
		case c.closed != nil:
			c.callNotify(c.closed)
		case c.readable && c.peek():
			c.callNotify(nil)
		}
	}
}

// OnAbort implements loop.Conn.
func (c *Conn) OnAbort(fn func()) {
	c.onAbort = fn
	if c.aborted && fn != nil {
		c.loop.inbox.put(c.callOnAbort)
	}
}

func (c *Conn) callOnAbort() {
	if fn := c.onAbort; fn != nil {
		c.onAbort = nil
		c.loop.protect(fn)
	}
}
