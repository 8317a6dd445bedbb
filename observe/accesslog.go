package observe

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Format is how the access log is written.
type Format string

// The formats of the access log.
const (
	// JSON is one JSON object a line.
	JSON Format = "json"
	// Text is for people in front of a terminal.
	Text Format = "text"
)

const (
	// maxPending bounds what waits to be written, in bytes for each worker: a
	// writer may stall for a tenth of a second at a worker's full speed.
	maxPending = 1 << 20
	// batchDelay is how long a record waits for others, so that a busy gateway
	// writes tens of times a second and not once for each request; batchBytes
	// is when they are enough.
	batchDelay = 50 * time.Millisecond
	batchBytes = 64 << 10
	// closeTime is how long Close waits for the writer.
	closeTime = 5 * time.Second
)

// errStalled is Close's error for a writer that is stuck.
var errStalled = errors.New("the access log's writer did not take the last records within " + closeTime.String())

// AccessLog writes a record for each request. Log never waits for the writer:
// what exceeds the bound is dropped and counted. Records of one worker are
// written in their order; those of different workers may be out of order by a
// few milliseconds. A nil AccessLog logs nothing.
type AccessLog struct {
	encode  func([]byte, *Request) []byte
	out     io.Writer
	workers []pending
	dropped atomic.Uint64

	wake   chan struct{} // something is pending
	enough chan struct{} // a worker has batchBytes pending: do not wait for more
	closed chan struct{}
	done   chan struct{}
	err    error // of the last failed write; the writer's until done is closed
}

// pending is what one worker has logged and nobody has written yet. The lock is
// held by the writer only to exchange two slices, so a worker never waits for
// a write.
type pending struct {
	mu      sync.Mutex
	records []byte
	_       [64]byte // workers on different processors share no cache line
}

// NewAccessLog starts a log that workers 0 to workers-1 write to out.
func NewAccessLog(out io.Writer, format Format, workers int) *AccessLog {
	l := &AccessLog{
		encode:  appendJSON,
		out:     out,
		workers: make([]pending, workers),
		wake:    make(chan struct{}, 1),
		enough:  make(chan struct{}, 1),
		closed:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	if format == Text {
		l.encode = appendText
	}
	go l.write()
	return l
}

// Log records r. It neither waits nor, once the buffers have grown, allocates.
// Each worker's calls come one after the other.
func (l *AccessLog) Log(worker int, r *Request) {
	if l == nil {
		return
	}
	p := &l.workers[worker]
	p.mu.Lock()
	before := len(p.records)
	if before < maxPending {
		p.records = l.encode(p.records, r)
	}
	after := len(p.records)
	p.mu.Unlock()

	switch {
	case after == before:
		l.dropped.Add(1)
	case before == 0:
		signal(l.wake)
	case before < batchBytes && after >= batchBytes:
		signal(l.enough)
	}
}

// Dropped is the number of records that were not written, because the writer
// was too slow or failed.
func (l *AccessLog) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load()
}

// Close writes what is pending and ends the log. It returns the error of the
// last failed write, if any, or after 5 seconds that the writer is stuck, as
// one is whose reader is. No Log may follow.
func (l *AccessLog) Close() error {
	if l == nil {
		return nil
	}
	close(l.closed)
	select {
	case <-l.done:
		return l.err
	case <-time.After(closeTime):
		return errStalled
	}
}

// write is the one goroutine that writes.
func (l *AccessLog) write() {
	defer close(l.done)
	var spare []byte
	for {
		select {
		case <-l.wake:
		case <-l.closed:
			l.flush(spare)
			return
		}
		select {
		case <-time.After(batchDelay):
		case <-l.enough:
		case <-l.closed:
		}
		spare = l.flush(spare)
	}
}

// flush writes what every worker has pending. It gives each worker the buffer
// that was written before, and returns the one that is left over.
func (l *AccessLog) flush(spare []byte) []byte {
	for i := range l.workers {
		p := &l.workers[i]
		p.mu.Lock()
		records := p.records
		p.records = spare[:0]
		p.mu.Unlock()
		if len(records) > 0 {
			l.writeRecords(records)
		}
		spare = records
	}
	return spare
}

func (l *AccessLog) writeRecords(records []byte) {
	n, err := l.out.Write(records)
	if err == nil {
		return
	}
	l.err = err
	for _, c := range records[n:] {
		if c == '\n' {
			l.dropped.Add(1)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
