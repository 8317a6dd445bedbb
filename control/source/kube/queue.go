package kube

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// pace is the least time between two writes of one object.
	pace = 100 * time.Millisecond
	// parallel is how many objects are written at the same time.
	parallel = 16
	// resigned is how long it takes until what the API server refused is tried again.
	resigned = 30 * time.Second
)

// writer writes objects that differ from what they should be, while this replica
// leads: each object by one goroutine at a time, and not more often than the pace.
type writer struct {
	queue workqueue.TypedRateLimitingInterface[snapshot.Key]
	// write brings one object to what it should be. It returns how long to wait
	// before it is tried again; zero is never, negative the queue's backoff.
	write func(context.Context, snapshot.Key) time.Duration

	mu   sync.Mutex
	last map[snapshot.Key]time.Time // of the writes
	term context.Context            // ends with the leadership; nil without
	end  context.CancelFunc
}

// backoff has the queue decide how long to wait.
const backoff time.Duration = -1

func newWriter(write func(context.Context, snapshot.Key) time.Duration) *writer {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[snapshot.Key](20*time.Millisecond, resigned)
	return &writer{queue: workqueue.NewTypedRateLimitingQueue(limiter), write: write, last: map[snapshot.Key]time.Time{}}
}

// lead begins or ends the leadership; what is being written at its end is given up.
func (w *writer) lead(leads bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end != nil {
		w.end()
		w.term, w.end = nil, nil
	}
	if leads {
		w.term, w.end = context.WithCancel(context.Background())
	}
}

// add has the object looked at as soon as the pace allows.
func (w *writer) add(key snapshot.Key) {
	w.mu.Lock()
	leads, rest := w.term != nil, pace-time.Since(w.last[key])
	w.mu.Unlock()
	switch {
	case !leads:
	case rest > 0:
		w.queue.AddAfter(key, rest)
	default:
		w.queue.Add(key)
	}
}

// wrote notes that the object was written just now.
func (w *writer) wrote(key snapshot.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.last[key] = now
	for other, at := range w.last {
		if now.Sub(at) < pace {
			break // enough of the old ones are gone
		}
		delete(w.last, other)
	}
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	w.lead(false)
	w.queue.ShutDown()
	workers.Wait()
}

func (w *writer) next(ctx context.Context) bool {
	key, closed := w.queue.Get()
	if closed {
		return false
	}
	defer w.queue.Done(key)
	w.mu.Lock()
	term, rest := w.term, pace-time.Since(w.last[key])
	w.mu.Unlock()
	switch {
	case term == nil || ctx.Err() != nil:
		return true
	case rest > 0: // it was written since it was added
		w.queue.AddAfter(key, rest)
		return true
	}
	switch again := w.write(term, key); {
	case term.Err() != nil:
	case again == backoff:
		w.queue.AddRateLimited(key)
		return true
	case again > 0:
		w.queue.AddAfter(key, again)
	}
	w.queue.Forget(key)
	return true
}
