//go:build linux

// Package epoll has Linux's loops: each runs on the goroutine that called Run,
// waits for its sockets with epoll, and runs its handlers as coroutines.
//
// A loop lives in turns (loop.go): it gathers what epoll reports (poller.go),
// lets each connection and listener see its events (conn.go, listener.go), runs
// what others have posted (inbox.go) and the timers that are due (wheel.go), and
// then the handlers that can go on (coroutine.go). Where a handler must wait,
// its coroutine parks, and the event that it waits for makes it runnable again.
//
// Three rules make it cheap. Sockets are registered once, edge-triggered, and a
// read that fills less than its buffer has drained the socket, so that no
// system call is spent to hear EAGAIN. An idle connection holds no coroutine
// and no buffer (notify.go). The loop sleeps in the Go runtime's own poller and
// never in a blocking system call, which would keep the runtime's monitor busy.
package epoll

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Options say whom the loops tell what went wrong.
type Options struct {
	// OnPanic is told of each panic in a handler or function of a loop, with
	// its stack. It is called on the loop. nil panics onward.
	OnPanic func(value any, stack []byte)
	// OnAcceptError is told when accepting fails, most often for want of file
	// descriptors; accepting rests for a moment then. It is called on the loop;
	// nil ignores it.
	OnAcceptError func(addr netip.AddrPort, err error)
}

// New makes n loops. They may listen on the same addresses and balance the
// connections that they accept among them. Run must not be called on a
// goroutine that is locked to its thread.
func New(n int, options Options) ([]loop.Loop, error) {
	g := newGroup(options)
	loops := make([]loop.Loop, 0, n)
	for range n {
		l, err := newLoop(g)
		if err != nil {
			g.release()
			return nil, err
		}
		g.loops = append(g.loops, l)
		loops = append(loops, l)
	}
	return loops, nil
}

// Loop implements loop.Loop. Only the inbox and the number of accepted
// connections are shared with other goroutines.
type Loop struct {
	group    *group
	inbox    inbox
	accepted atomic.Int64 // open connections from listeners, and those on their way here

	poller poller
	wheel  wheel
	clock  clock
	now    time.Time // when the present turn began
	turn   uint64    // its number
	ending bool

	// notifiable are connections whose Notify need not wait for an event.
	notifiable []*Conn
	turnEnd    []func() // what is to run at the end of this turn
	spareEnd   []func() // a slice to use again
	pipes      []*pipe  // unused ones
	handlers
}

func newLoop(g *group) (*Loop, error) {
	l := &Loop{group: g, now: time.Now()}
	l.awaits = make(chan struct{}, maxAwaits)
	l.clock.start(l.now)
	l.wheel.start(l.clock.tick(l.now))
	if err := l.poller.open(); err != nil {
		return nil, err
	}
	if err := l.inbox.open(&l.poller); err != nil {
		l.poller.close()
		return nil, err
	}
	return l, nil
}

// Run implements loop.Loop. It fails only if epoll does.
func (l *Loop) Run() error {
	defer l.release()
	for {
		if err := l.gather(); err != nil {
			return err
		}
		l.look()
		l.runHandlers()
		l.endTurn()
		if l.ended() {
			return nil
		}
	}
}

// ended reports whether the loop was stopped and nothing is left to run.
func (l *Loop) ended() bool {
	return l.ending && len(l.live) == 0 && len(l.notifiable) == 0 && len(l.turnEnd) == 0 && l.inbox.close()
}

// gather begins a turn with the events that there are, and waits for some if
// there is nothing else to do.
func (l *Loop) gather() (err error) {
	if l.awaiting > 0 {
		runtime.Gosched() // a busy loop would keep the awaited goroutine from the processor
	}
	if l.idle() && l.inbox.sleep() {
		err = l.poller.park(l.clock.time(l.wheel.earliest))
	} else {
		err = l.poller.poll()
	}
	l.now = time.Now()
	l.turn++
	return err
}

func (l *Loop) idle() bool {
	return len(l.runnable) == 0 && len(l.notifiable) == 0 && len(l.turnEnd) == 0
}

// look lets everybody see what has happened.
func (l *Loop) look() {
	posted, stop := l.inbox.take()
	l.notifyReadable()
	l.poller.dispatch()
	for _, fn := range posted {
		l.protect(fn)
	}
	l.wheel.advance(l.clock.tick(l.now))
	if stop {
		l.end()
	}
}

// endTurn runs what AtTurnEnd was asked for, the handlers that this starts, and
// puts those that have had their share into the next turn.
func (l *Loop) endTurn() {
	if batch := l.turnEnd; len(batch) > 0 {
		l.turnEnd, l.spareEnd = l.spareEnd[:0], batch
		for _, fn := range batch {
			l.protect(fn)
		}
		clear(batch)
		l.runHandlers()
	}
	l.runnable = append(l.runnable, l.later...)
	l.later = l.later[:0]
}

// AtTurnEnd implements loop.Loop.
func (l *Loop) AtTurnEnd(fn func()) { l.turnEnd = append(l.turnEnd, fn) }

// end closes everything and lets the waiting handlers see it.
func (l *Loop) end() {
	if l.ending {
		return
	}
	l.ending = true
	l.poller.each(func(s source) {
		switch s := s.(type) {
		case *Conn:
			s.end()
		case *listener:
			s.close()
		}
	})
	for _, co := range l.live {
		if !co.awaiting {
			co.resume(loop.ErrStopped)
		}
	}
}

// release gives back what the loop holds of the system.
func (l *Loop) release() {
	l.stopIdle()
	for _, p := range l.pipes {
		p.close()
	}
	l.inbox.release()
	l.poller.close()
}

// Stop implements loop.Loop.
func (l *Loop) Stop() { l.inbox.stop() }

// Post implements loop.Loop.
func (l *Loop) Post(fn func()) bool { return l.inbox.put(fn) }

// Now implements loop.Loop.
func (l *Loop) Now() time.Time { return l.now }

// protect runs fn and reports its panic.
func (l *Loop) protect(fn func()) {
	defer l.recovered()
	fn()
}

// recovered is deferred around all foreign code.
func (l *Loop) recovered() {
	if l.group.OnPanic == nil {
		return
	}
	if v := recover(); v != nil {
		l.group.OnPanic(v, debug.Stack())
	}
}

// mustWait returns the running handler; where there is none, to wait would be
// to stall the loop.
func (l *Loop) mustWait(what string) *coroutine {
	if l.running == nil {
		panic(fmt.Sprintf("loop: %s outside a handler would stall the loop; start one with Go", what))
	}
	return l.running
}
