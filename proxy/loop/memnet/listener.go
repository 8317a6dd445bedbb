package memnet

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// backlog is how many connections wait for Accept before dialing waits.
const backlog = 128

// Listener implements net.Listener.
type Listener struct {
	network *Network
	key     string
	addr    net.Addr

	mu       sync.Mutex
	changed  *sync.Cond
	queue    []*Conn
	deadline deadline
	closed   bool
}

func newListener(n *Network, key string, addr net.Addr) *Listener {
	l := &Listener{network: n, key: key, addr: addr}
	l.changed = sync.NewCond(&l.mu)
	l.deadline.changed = l.changed
	return l
}

// Addr returns the address that Listen was given, with the port it got.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept waits for a connection, to the deadline at most.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, l.opError(net.ErrClosed)
		case l.deadline.passed():
			return nil, l.opError(os.ErrDeadlineExceeded)
		case len(l.queue) > 0:
			c := l.queue[0]
			l.queue = l.queue[1:]
			l.changed.Broadcast()
			return c, nil
		}
		l.changed.Wait()
	}
}

func (l *Listener) opError(err error) error {
	return &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// SetDeadline bounds the present and later Accepts; zero means no bound.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline.set(t)
	return nil
}

// Close ends Accept; connections that nobody accepted are reset.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError(net.ErrClosed)
	}
	l.closed = true
	l.network.forget(l)
	for _, c := range l.queue {
		c.abort()
	}
	l.queue = nil
	l.deadline.set(time.Time{})
	return nil
}

// enqueue hands c to Accept, as soon as the queue has room.
func (l *Listener) enqueue(ctx context.Context, c *Conn) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return os.NewSyscallError("connect", syscall.ECONNREFUSED)
		case ctx.Err() != nil:
			return ctx.Err()
		case len(l.queue) < backlog:
			l.queue = append(l.queue, c)
			l.changed.Broadcast()
			return nil
		}
		l.changed.Wait()
	}
}
