package kube

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/control/snapshot"
)

const (
	// window is how long changes are gathered that follow another one. A rollout,
	// or a person who applies a folder, changes many objects within milliseconds.
	window = 5 * time.Millisecond
	// patience is how long changes wait for the Secrets and ConfigMaps that they refer to.
	patience = 2 * time.Second
)

// batch gathers changes while earlier ones are dealt with. Of an object it keeps
// the last state only, so it is never larger than the cluster.
type batch struct {
	// refer is told each change in the moment in which it comes into the batch, and
	// held is closed when the objects are there that the changes refer to; it is nil
	// if they are. A Gateway and its new certificate so arrive together.
	refer func(snapshot.Key, snapshot.Object)
	held  func() <-chan struct{}
	wake  chan struct{}
	// telling says that there is something to tell beside changes.
	telling atomic.Bool

	mu      sync.Mutex // taken before the lock of the referents
	changes []snapshot.Change
	places  map[snapshot.Key]int // in changes
}

func newBatch(refer func(snapshot.Key, snapshot.Object), held func() <-chan struct{}) *batch {
	return &batch{refer: refer, held: held, places: map[snapshot.Key]int{}, wake: make(chan struct{}, 1)}
}

// put adds the new state of an object; nil says that it is gone.
func (b *batch) put(key snapshot.Key, object snapshot.Object) {
	b.mu.Lock()
	b.refer(key, object)
	change := snapshot.Change{Key: key, Object: object}
	if at, ok := b.places[key]; ok {
		b.changes[at] = change
	} else {
		b.places[key] = len(b.changes)
		b.changes = append(b.changes, change)
	}
	b.mu.Unlock()
	b.rouse()
}

// nudge has deliver call take, also without changes.
func (b *batch) nudge() {
	b.telling.Store(true)
	b.rouse()
}

func (b *batch) rouse() {
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
		time.Sleep(window - time.Since(last))
		changes := b.complete(ctx)
		if ctx.Err() != nil {
			return
		}
		if tell := b.telling.Swap(false); len(changes) == 0 && !tell {
			continue // They came along with the last ones.
		}
		take(changes)
		last = time.Now()
	}
}

// complete takes the changes when they are complete, or when patience is at an end.
func (b *batch) complete(ctx context.Context) []snapshot.Change {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		changes, held := b.drain(ctx.Err() != nil)
		if held == nil {
			return changes
		}
		select {
		case <-held:
		case <-ctx.Done():
		}
	}
}

// drain takes the changes, or says what holds them.
func (b *batch) drain(regardless bool) ([]snapshot.Change, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if held := b.held(); held != nil && !regardless {
		return nil, held
	}
	changes := b.changes
	b.changes, b.places = nil, map[snapshot.Key]int{}
	return changes, nil
}
