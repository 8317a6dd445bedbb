//go:build linux

package epoll

import (
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

const (
	// maxIdle is how many coroutines wait for a handler; more are let go.
	maxIdle = 128
	// maxRounds is how often in a turn handlers that others have woken run,
	// before the loop looks at its sockets again.
	maxRounds = 16
	// maxShare is how many bytes a handler moves before others have their turn.
	maxShare = 256 << 10
	// callShare is what a call that moves few bytes counts for, by its cost.
	callShare = 256
	// maxAwaits is how many functions of Await run at once for one loop.
	maxAwaits = 256
)

// handlers is the loop's part that runs coroutines.
type handlers struct {
	running  *coroutine
	share    int          // bytes that running has moved since it was resumed
	runnable []*coroutine // in the order in which they run
	spare    []*coroutine // a slice to use again
	later    []*coroutine // have had their share of this turn
	live     []*coroutine // all that have a handler
	unused   []*coroutine
	awaiting int // handlers in Await
	awaits   chan struct{}
}

// coroutine runs one handler after the other.
type coroutine struct {
	loop    *Loop
	handler func() // nil when it has ended
	index   int    // in loop.live

	next  func() (struct{}, bool) // runs it until it yields
	stop  func()
	yield func(struct{}) bool // back to the loop

	parked   bool  // it waits for resume
	awaiting bool  // not even for the loop's end
	result   error // why the wait has ended
	timer    timer // the wait's deadline
}

// Go implements loop.Loop.
func (l *Loop) Go(fn func()) {
	co := l.unusedCoroutine()
	co.handler = fn
	co.index = len(l.live)
	l.live = append(l.live, co)
	l.runnable = append(l.runnable, co)
}

func (l *Loop) unusedCoroutine() *coroutine {
	if n := len(l.unused); n > 0 {
		co := l.unused[n-1]
		l.unused = l.unused[:n-1]
		return co
	}
	co := &coroutine{loop: l}
	co.timer.owner = co
	co.next, co.stop = iter.Pull(co.serve)
	return co
}

// serve is the coroutine's body.
func (co *coroutine) serve(yield func(struct{}) bool) {
	co.yield = yield
	for {
		co.loop.protect(co.handler)
		co.handler = nil
		if !yield(struct{}{}) {
			return
		}
	}
}

// runHandlers runs those that can go on.
func (l *Loop) runHandlers() {
	for round := 0; len(l.runnable) > 0 && round < maxRounds; round++ {
		batch := l.runnable
		l.runnable, l.spare = l.spare[:0], batch
		for _, co := range batch {
			l.run(co)
		}
	}
}

func (l *Loop) run(co *coroutine) {
	l.running, l.share = co, 0
	co.next()
	l.running = nil
	if co.handler == nil {
		l.retire(co)
	}
}

// retire puts a coroutine whose handler has ended aside.
func (l *Loop) retire(co *coroutine) {
	last := len(l.live) - 1
	l.live[co.index] = l.live[last]
	l.live[co.index].index = co.index
	l.live[last] = nil
	l.live = l.live[:last]
	if len(l.unused) == maxIdle {
		co.stop()
		return
	}
	l.unused = append(l.unused, co)
}

func (l *Loop) stopIdle() {
	for _, co := range l.unused {
		co.stop()
	}
}

// park lets others run until resume, and returns its error; or until a tick,
// and returns os.ErrDeadlineExceeded. Before it, the caller leaves the coroutine
// where the one finds it who will resume it.
func (co *coroutine) park(until tick) error {
	l := co.loop
	switch {
	case l.ending:
		return loop.ErrStopped
	case until != never && until <= l.wheel.now:
		return os.ErrDeadlineExceeded
	case until != never:
		l.wheel.arm(&co.timer, until)
	}
	co.suspend()
	l.wheel.disarm(&co.timer)
	return co.result
}

func (co *coroutine) suspend() {
	co.parked = true
	co.yield(struct{}{})
}

// resume makes a parked coroutine runnable. Of several calls the first counts;
// it reports whether this one did.
func (co *coroutine) resume(err error) bool {
	if !co.parked {
		return false
	}
	co.parked = false
	co.result = err
	co.loop.runnable = append(co.loop.runnable, co)
	return true
}

// expired implements timer's owner.
func (co *coroutine) expired() { co.resume(os.ErrDeadlineExceeded) }

// setDeadline moves the deadline of a parked coroutine.
func (co *coroutine) setDeadline(until tick) {
	wheel := &co.loop.wheel
	switch {
	case !co.parked:
	case until == never:
		wheel.disarm(&co.timer)
	case until <= wheel.now:
		co.expired()
	default:
		wheel.arm(&co.timer, until)
	}
}

// spend counts a call of the running handler and its bytes; one that has had its
// share goes on in the next turn.
func (l *Loop) spend(bytes int) {
	l.share += bytes + callShare
	if l.share < maxShare || l.running == nil {
		return
	}
	co := l.running
	l.later = append(l.later, co)
	co.yield(struct{}{})
}

// Sleep implements loop.Loop.
func (l *Loop) Sleep(d time.Duration) error {
	err := l.mustWait("Sleep").park(l.after(d))
	if err == os.ErrDeadlineExceeded {
		return nil
	}
	return err
}

// after returns the tick that is d from now, or the next one, so that others
// run even if d is nothing.
func (l *Loop) after(d time.Duration) tick {
	return max(l.clock.deadline(l.now.Add(d)), l.wheel.now+1)
}

// Await implements loop.Loop. At most 256 functions run at once; more wait.
func (l *Loop) Await(fn func()) {
	co := l.mustWait("Await")
	var failure error
	go func() {
		l.awaits <- struct{}{}
		defer func() {
			failure = panicked(recover())
			<-l.awaits
			l.inbox.put(func() { co.resume(nil) })
		}()
		fn()
	}()
	co.awaiting = true
	l.awaiting++
	co.suspend()
	l.awaiting--
	co.awaiting = false
	if failure != nil {
		panic(failure)
	}
}

// panicked makes a panic's value an error that carries the stack.
func panicked(value any) error {
	if value == nil {
		return nil
	}
	return fmt.Errorf("in Await: %v\n%s", value, debug.Stack())
}
