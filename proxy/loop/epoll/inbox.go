//go:build linux

package epoll

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// inbox takes functions from any goroutine to the loop, and wakes it through an
// eventfd, but only if it sleeps.
type inbox struct {
	eventfd int

	mu       sync.Mutex
	fns      []func()
	spare    []func() // the slice of the last turn, to use again
	sleeping bool     // the loop waits, or is about to
	stopping bool     // stop was called since the last take
	closed   bool
}

func (b *inbox) open(p *poller) (err error) {
	b.eventfd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := p.add(b.eventfd, b, unix.EPOLLIN|unix.EPOLLET); err != nil {
		unix.Close(b.eventfd)
		return err
	}
	return nil
}

// ready resets the eventfd.
func (b *inbox) ready(uint32) {
	resetEvent(b.eventfd)
}

// put reports false if the inbox is closed.
func (b *inbox) put(fn func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.fns = append(b.fns, fn)
	b.wake()
	return true
}

func (b *inbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping = true
	b.wake()
}

// wake is called with the lock held, because the loop may close the eventfd
// once it has what was put.
func (b *inbox) wake() {
	if !b.sleeping || b.closed {
		return
	}
	b.sleeping = false
	signalEvent(b.eventfd)
}

// sleep announces that the loop is going to wait. It reports false if it must not.
func (b *inbox) sleep() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sleeping = len(b.fns) == 0 && !b.stopping
	return b.sleeping
}

// take returns what was put, and whether stop was called, since the last call.
func (b *inbox) take() (fns []func(), stop bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sleeping = false
	fns, stop = b.fns, b.stopping
	clear(b.spare)
	b.fns, b.spare = b.spare[:0], fns
	b.stopping = false
	return fns, stop
}

// close closes the inbox if it is empty, and reports whether it did.
func (b *inbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = len(b.fns) == 0
	return b.closed
}

func (b *inbox) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	unix.Close(b.eventfd)
}
