package kube

import (
	"context"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// window is how long changes are gathered that follow another one. A rollout, or
// a person who applies a folder, changes many objects within milliseconds.
const window = 5 * time.Millisecond

// batch gathers changes while earlier ones are dealt with. Of an object it keeps
// the last state only, so it is never larger than the cluster.
type batch struct {
	mu      sync.Mutex
	changes []snapshot.Change
	places  map[snapshot.Key]int // in changes
	wake    chan struct{}
}

func newBatch() *batch {
	return &batch{places: map[snapshot.Key]int{}, wake: make(chan struct{}, 1)}
}

// put adds the new state of an object; nil says that it is gone.
func (b *batch) put(key snapshot.Key, object snapshot.Object) {
	b.mu.Lock()
	change := snapshot.Change{Key: key, Object: object}
	if at, ok := b.places[key]; ok {
		b.changes[at] = change
	} else {
		b.places[key] = len(b.changes)
		b.changes = append(b.changes, change)
	}
	b.mu.Unlock()
	b.nudge()
}

// nudge has deliver call take, also without changes.
func (b *batch) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// deliver calls take with the changes until ctx ends: with those that are there at
// once, then with the first after a pause at once, and with those that follow
// after the window, however many more come.
func (b *batch) deliver(ctx context.Context, take func([]snapshot.Change)) {
	b.nudge()
	var last time.Time
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		if rest := window - time.Since(last); !last.IsZero() && rest > 0 {
			time.Sleep(rest)
		}
		take(b.drain())
		last = time.Now()
	}
}

func (b *batch) drain() []snapshot.Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	changes := b.changes
	b.changes = nil
	clear(b.places)
	return changes
}
