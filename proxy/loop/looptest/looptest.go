// Package looptest holds every implementation of loop.Loop to the same
// behaviour.
package looptest

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// Engine is an implementation under test.
type Engine struct {
	// Make makes n loops and returns them with the network that they are on.
	Make func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network)
	// Bubble runs each test in a synctest bubble: the network is in memory.
	Bubble bool
	// Splices says that TCP connections can be spliced.
	Splices bool
	// Records says that the bytes travel in records: of a Write that fails more
	// may arrive than it says, and the peer sees that its stream was cut.
	Records bool
}

// Run runs all behaviour tests.
func Run(t *testing.T, e Engine) {
	run(t, e, connTests, endTests, idleTests, waitTests, loopTests, listenTests)
}

// RunConns runs those of connections, for what is put on top of them.
func RunConns(t *testing.T, e Engine) { run(t, e, connTests, endTests, idleTests) }

func run(t *testing.T, e Engine, groups ...map[string]func(*testing.T, Engine)) {
	for _, group := range groups {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				if !e.Bubble {
					test(t, e)
					return
				}
				synctest.Test(t, func(t *testing.T) { test(t, e) })
			})
		}
	}
}

// fixture is a set of running loops.
type fixture struct {
	t       testing.TB
	loops   []loop.Loop
	loop    loop.Loop // the first
	network loop.Network
	panics  chan any
	ended   chan error // one for each loop
}

// start runs n loops until the test ends.
func start(t testing.TB, e Engine, n int) *fixture {
	t.Helper()
	f := prepare(t, e, n)
	f.run()
	t.Cleanup(f.stop)
	return f
}

// prepare makes n loops.
func prepare(t testing.TB, e Engine, n int) *fixture {
	t.Helper()
	f := &fixture{t: t, panics: make(chan any, 16), ended: make(chan error, n)}
	f.loops, f.network = e.Make(t, n, func(v any, _ []byte) { f.panics <- v })
	f.loop = f.loops[0]
	return f
}

func (f *fixture) run() {
	for _, l := range f.loops {
		go func() { f.ended <- l.Run() }()
	}
}

// stop ends the loops and checks that no handler has panicked unobserved.
func (f *fixture) stop() {
	f.t.Helper()
	for _, l := range f.loops {
		l.Stop()
	}
	for range f.loops {
		if err := <-f.ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	}
	select {
	case v := <-f.panics:
		f.t.Errorf("a handler panicked: %v", v)
	default:
	}
}

// post runs fn outside any handler and waits for its end.
func (f *fixture) post(fn func()) {
	done := make(chan struct{})
	f.loop.Post(func() {
		defer close(done)
		fn()
	})
	<-done
}

// begin starts a handler and returns a channel that is closed at its end.
// Handlers must not call t.Fatal: it would end the loop's goroutine.
func (f *fixture) begin(handler func()) <-chan struct{} {
	done := make(chan struct{})
	f.loop.Post(func() {
		f.loop.Go(func() {
			defer close(done)
			handler()
		})
	})
	return done
}

// handle runs a handler to its end.
func (f *fixture) handle(handler func()) { <-f.begin(handler) }

// serve listens with the first loop and starts handler for each connection.
func (f *fixture) serve(handler func(loop.Conn)) netip.AddrPort {
	f.t.Helper()
	l := f.listen(f.loop, anyPort, func(c loop.Conn) {
		c.Loop().Go(func() {
			defer c.Close()
			handler(c)
		})
	})
	return l.Addr()
}

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

func (f *fixture) listen(on loop.Loop, addr netip.AddrPort, accept func(loop.Conn)) loop.Listener {
	f.t.Helper()
	var l loop.Listener
	var err error
	done := make(chan struct{})
	on.Post(func() {
		defer close(done)
		l, err = on.Listen(addr, accept)
	})
	<-done
	if err != nil {
		f.t.Fatalf("Listen(%v): %v", addr, err)
	}
	return l
}

// dial connects a client to addr.
func (f *fixture) dial(addr netip.AddrPort) net.Conn {
	f.t.Helper()
	c, err := f.network.Dial(context.Background(), "tcp", addr.String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a hang becomes a failure
	return c
}

// connect returns the two ends of a connection that the first loop accepted.
func (f *fixture) connect() (client net.Conn, server loop.Conn) {
	f.t.Helper()
	accepted := make(chan loop.Conn, 1)
	l := f.listen(f.loop, anyPort, func(c loop.Conn) { accepted <- c })
	client = f.dial(l.Addr())
	server = <-accepted
	f.post(func() { l.Close() })
	return client, server
}
