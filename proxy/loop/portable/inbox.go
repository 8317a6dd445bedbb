package portable

import "sync"

// inbox collects functions for Run. Its methods may be called from any goroutine.
type inbox struct {
	signal chan struct{} // holds one element if there may be something to do

	mu     sync.Mutex
	fns    []func()
	closed bool
}

// put reports false if the inbox is closed.
func (b *inbox) put(fn func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.fns = append(b.fns, fn)
	b.ring()
	return true
}

func (b *inbox) ring() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	fns := b.fns
	b.fns = nil
	return fns
}

// close closes the inbox if it is empty, and reports whether it did.
func (b *inbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = len(b.fns) == 0
	return b.closed
}
