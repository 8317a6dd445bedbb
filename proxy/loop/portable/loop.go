// Package portable has loops whose handlers are goroutines: each holds its
// loop's baton while it runs and lays it down while it waits, so that one runs
// at a time and the same handlers are right on every implementation. It runs
// wherever Go does, under the race detector, and, over a memnet.Network, in
// testing/synctest bubbles, if the loops are made inside the bubble.
package portable

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Options say what loops run on and whom they tell.
type Options struct {
	// Network makes the connections; nil means loop.HostNetwork.
	Network loop.Network
	// OnPanic is told of each panic in a handler or function of a loop, with
	// its stack. It is called on the loop. nil panics onward.
	OnPanic func(value any, stack []byte)
	// OnAcceptError is told when accepting fails, most often for want of file
	// descriptors. It goes on a moment later. It may be called from any
	// goroutine; nil ignores it.
	OnAcceptError func(addr netip.AddrPort, err error)
}

// group is what the loops of one New share.
type group struct {
	Options
	mu      sync.Mutex
	sockets map[netip.AddrPort]*socket
}

// New makes n loops that may listen on the same addresses.
func New(n int, options Options) []loop.Loop {
	if options.Network == nil {
		options.Network = loop.HostNetwork{}
	}
	g := &group{Options: options, sockets: make(map[netip.AddrPort]*socket)}
	loops := make([]loop.Loop, n)
	for i := range loops {
		loops[i] = newLoop(g)
	}
	return loops
}

// Loop implements loop.Loop.
type Loop struct {
	group *group
	// baton holds one element while somebody runs: before Run, its caller. A
	// channel, because a synctest bubble knows that waiting for one is waiting.
	baton    chan struct{}
	inbox    inbox
	stopped  chan struct{}
	stopOnce sync.Once
	// helpers are lookouts and draining sockets; none outlives its loop.
	helpers sync.WaitGroup

	// The rest belongs to the baton's holder.
	inHandler bool
	handlers  int
	starting  int // handlers that have not held the baton yet
	ending    bool
	timers    timers
	conns     map[*Conn]struct{}
	listeners map[*listener]struct{}
}

func newLoop(g *group) *Loop {
	l := &Loop{
		group:     g,
		baton:     make(chan struct{}, 1),
		inbox:     inbox{signal: make(chan struct{}, 1)},
		stopped:   make(chan struct{}),
		conns:     make(map[*Conn]struct{}),
		listeners: make(map[*listener]struct{}),
	}
	l.take(false)
	return l
}

// Run implements loop.Loop. What runs outside any handler runs on its goroutine.
func (l *Loop) Run() error {
	l.lay()
	stopped := l.stopped
	for {
		for _, fn := range l.inbox.take() {
			l.take(false)
			l.protect(fn)
			l.lay()
		}
		if l.ended() {
			l.helpers.Wait()
			return nil
		}
		select {
		case <-l.inbox.signal:
		case <-stopped:
			stopped = nil
			l.take(false)
			l.end()
			l.lay()
		}
	}
}

// end closes everything, so that whoever waits for a connection returns.
func (l *Loop) end() {
	l.ending = true
	for s := range l.listeners {
		s.leave(false)
	}
	for c := range l.conns {
		c.end()
	}
}

// ended reports whether the loop has stopped, nobody runs and nothing is left to run.
func (l *Loop) ended() bool {
	l.take(false)
	defer l.lay()
	return l.ending && l.handlers == 0 && l.inbox.close()
}

// AtTurnEnd implements loop.Loop. A turn here is until the handlers that were
// started have run once.
func (l *Loop) AtTurnEnd(fn func()) {
	l.Post(func() {
		if l.starting > 0 {
			l.AtTurnEnd(fn)
			return
		}
		fn()
	})
}

// Stop implements loop.Loop.
func (l *Loop) Stop() { l.stopOnce.Do(func() { close(l.stopped) }) }

// Post implements loop.Loop.
func (l *Loop) Post(fn func()) bool { return l.inbox.put(fn) }

// Go implements loop.Loop.
func (l *Loop) Go(fn func()) {
	l.handlers++
	l.starting++
	go func() {
		l.take(true)
		l.starting--
		defer l.endHandler()
		l.protect(fn)
	}()
}

func (l *Loop) endHandler() {
	l.handlers--
	if l.handlers == 0 {
		l.inbox.ring() // Run may be waiting for the last one
	}
	l.lay()
}

// Await implements loop.Loop. The handler's own goroutine does it.
func (l *Loop) Await(fn func()) { l.wait("Await", fn) }

// Sleep implements loop.Loop.
func (l *Loop) Sleep(d time.Duration) (err error) {
	l.wait("Sleep", func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.stopped:
		}
		if l.hasStopped() {
			err = loop.ErrStopped
		}
	})
	return err
}

// Now implements loop.Loop.
func (l *Loop) Now() time.Time { return time.Now() }

// take waits for the baton.
func (l *Loop) take(asHandler bool) {
	l.baton <- struct{}{}
	l.inHandler = asHandler
}

// lay lays the baton down.
func (l *Loop) lay() { <-l.baton }

// wait runs blocking, which may block, while others hold the baton.
func (l *Loop) wait(what string, blocking func()) {
	if !l.inHandler {
		panic(fmt.Sprintf("loop: %s outside a handler would stall the loop; start one with Go", what))
	}
	starting := l.starting > 0
	l.lay()
	defer l.take(true)
	if starting {
		runtime.Gosched() // who does not really block would have the baton back before they ask for it
	}
	blocking()
}

// protect runs fn and reports its panic.
func (l *Loop) protect(fn func()) {
	if l.group.OnPanic != nil {
		defer func() {
			if v := recover(); v != nil {
				l.group.OnPanic(v, debug.Stack())
			}
		}()
	}
	fn()
}

func (l *Loop) hasStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}
