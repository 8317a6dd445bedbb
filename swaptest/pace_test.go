package swaptest

import (
	"io"
	"sync"
)

// beat lets any number of goroutines wait for what happens again and again.
type beat struct {
	mu      sync.Mutex
	moved   chan struct{}
	stopped bool
}

func newBeat() *beat { return &beat{moved: make(chan struct{})} }

// wait waits for the next move. After stop it does not.
func (b *beat) wait() {
	b.mu.Lock()
	moved := b.moved
	b.mu.Unlock()
	<-moved
}

func (b *beat) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.moved)
	b.moved = make(chan struct{})
}

func (b *beat) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.stopped = true
		close(b.moved)
	}
}

// paced is a reader that gives at most step bytes between two moves.
type paced struct {
	moves *beat
	step  int
	from  io.Reader
	begun bool
}

func (p *paced) Read(b []byte) (int, error) {
	if p.begun {
		p.moves.wait()
	}
	p.begun = true
	return p.from.Read(b[:min(len(b), p.step)])
}
