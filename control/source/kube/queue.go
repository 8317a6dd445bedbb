package kube

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// pace is the least time between two writes of one object. Each write of the
	// same wish doubles it, up to resigned: who undoes what is written is not fought
	// at full speed. A quiet time of forgiven ends that.
	pace     = 100 * time.Millisecond
	forgiven = 2 * time.Minute
	// parallel is how many objects are written at the same time.
	parallel = 16
	// firstAgain is the wait after a write that failed; each is twice the one
	// before, up to resigned, and its length is half chance.
	firstAgain = 50 * time.Millisecond
	// resigned is how long it takes until what the API server refused is tried
	// again, and until nothing being said of an object means that nothing is to be said.
	resigned = 30 * time.Second
)

// writer writes objects that differ from what they should be, while this replica
// leads: each object by one goroutine at a time, and not more often than the pace.
type writer struct {
	queue workqueue.TypedRateLimitingInterface[snapshot.Key]
	// write brings one object to what it should be. It reports whether it has sent
	// a write, and how long to wait until it is tried again: zero is never, and
	// backoff leaves it to the queue.
	write func(context.Context, snapshot.Key) (wrote bool, again time.Duration)

	mu     sync.Mutex
	writes map[snapshot.Key]writing
	term   context.Context // ends with the leadership; nil without
	end    context.CancelFunc
}

// writing is what is remembered of an object's writes.
type writing struct {
	last time.Time
	// times is how often the same wish was written.
	times int
}

// rest is how long to wait with the next write.
func (w writing) rest(now time.Time) time.Duration {
	wait := pace
	for i := 1; i < w.times && wait < resigned; i++ {
		wait *= 2
	}
	return min(wait, resigned) - now.Sub(w.last)
}

// backoff has the queue decide how long to wait.
const backoff time.Duration = -1

func newWriter(write func(context.Context, snapshot.Key) (bool, time.Duration)) *writer {
	limiter := chancy{workqueue.NewTypedItemExponentialFailureRateLimiter[snapshot.Key](firstAgain, resigned)}
	return &writer{queue: workqueue.NewTypedRateLimitingQueue(limiter), write: write, writes: map[snapshot.Key]writing{}}
}

// chancy keeps those that failed together from coming back together.
type chancy struct {
	workqueue.TypedRateLimiter[snapshot.Key]
}

// When implements workqueue.TypedRateLimiter.
func (c chancy) When(key snapshot.Key) time.Duration { return halfChance(c.TypedRateLimiter.When(key)) }

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

// wish has the object looked at because what it should be is new.
func (w *writer) wish(key snapshot.Key) {
	w.mu.Lock()
	if was, ok := w.writes[key]; ok {
		was.times = 0
		w.writes[key] = was
	}
	w.mu.Unlock()
	w.add(key)
}

// add has the object looked at as soon as the pace allows.
func (w *writer) add(key snapshot.Key) {
	if rest, leads := w.rest(key); leads && rest > 0 {
		w.queue.AddAfter(key, rest)
	} else if leads {
		w.queue.Add(key)
	}
}

// later has the object looked at when there was time to speak of it.
func (w *writer) later(key snapshot.Key) {
	if _, leads := w.rest(key); leads {
		w.queue.AddAfter(key, resigned)
	}
}

func (w *writer) rest(key snapshot.Key) (rest time.Duration, leads bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes[key].rest(time.Now()), w.term != nil
}

// wrote notes that the object was written just now, and whether that went well.
func (w *writer) wrote(key snapshot.Key, well bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	was := w.writes[key]
	if now.Sub(was.last) > forgiven {
		was.times = 0
	}
	if was.last = now; well {
		was.times++
	}
	w.writes[key] = was
	for other, was := range w.writes {
		if now.Sub(was.last) < forgiven {
			break // enough of the old ones are gone
		}
		delete(w.writes, other)
	}
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for w.next() {
			}
		})
	}
	<-ctx.Done()
	w.lead(false)
	w.queue.ShutDown()
	workers.Wait()
}

func (w *writer) next() bool {
	key, closed := w.queue.Get()
	if closed {
		return false
	}
	defer w.queue.Done(key)
	w.mu.Lock()
	term, rest := w.term, w.writes[key].rest(time.Now())
	w.mu.Unlock()
	if term != nil && rest > 0 { // it was written since it was added
		w.queue.AddAfter(key, rest)
		return true
	}
	if term != nil {
		wrote, again := w.write(term, key)
		if wrote {
			w.wrote(key, again == 0)
		}
		switch {
		case term.Err() != nil:
		case again == backoff:
			w.queue.AddRateLimited(key)
			return true
		case again > 0:
			w.queue.AddAfter(key, again)
		}
	}
	w.queue.Forget(key)
	return true
}

// halfChance is between half as long and as long.
func halfChance(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
