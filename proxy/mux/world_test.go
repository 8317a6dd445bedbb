package mux_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/mux"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyPort is where tests listen.
var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// world is a loop and its network.
type world struct {
	testing.TB
	loop    loop.Loop
	network loop.Network
	ended   chan ending
}

// ending is what a session told at its end.
type ending struct {
	reason string
	err    error
}

// engine makes loops of one kind.
type engine struct {
	name string
	make func() (loop.Loop, error)
}

// engines are those that work on sockets.
var engines = []engine{{name: "portable", make: func() (loop.Loop, error) {
	return portable.New(1, portable.Options{})[0], nil
}}}

// inBubble runs a test in memory and in fake time.
func inBubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		w := &world{TB: t, loop: portable.New(1, portable.Options{Network: network})[0], network: network, ended: make(chan ending, 1000)}
		defer w.run()()
		test(w)
	})
}

// onSockets runs a test on each kind of loop, over TCP.
func onSockets(t *testing.T, test func(t *testing.T, w *world)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, newWorld(t, e)) })
	}
}

func newWorld(t testing.TB, e engine) *world {
	t.Helper()
	l, err := e.make()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, loop: l, network: loop.HostNetwork{}, ended: make(chan ending, 1000)}
	t.Cleanup(w.run())
	return w
}

// run runs the loop until the function that it returns is called.
func (w *world) run() (stop func()) {
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.loop.Run(); err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	return func() {
		w.loop.Stop()
		running.Wait()
	}
}

// post runs fn on the loop, outside any handler.
func (w *world) post(fn func()) {
	done := make(chan struct{})
	w.loop.Post(func() {
		defer close(done)
		fn()
	})
	<-done
}

// do runs fn as a handler. It must not end the test.
func (w *world) do(fn func()) {
	done := make(chan struct{})
	w.loop.Post(func() {
		w.loop.Go(func() {
			defer close(done)
			fn()
		})
	})
	<-done
}

// listen serves HTTP/2 with a handler for each stream.
func (w *world) listen(limits *mux.Limits, handle func(*mux.Stream)) netip.AddrPort {
	w.Helper()
	return w.accept(func(c loop.Conn) { mux.Serve(c, nil, w.serverOptions(limits, handle)) })
}

func (w *world) serverOptions(limits *mux.Limits, handle func(*mux.Stream)) *mux.ServerOptions {
	return &mux.ServerOptions{
		Limits: limits,
		Serve: func(st *mux.Stream) {
			w.loop.Go(func() {
				defer st.Close()
				handle(st)
			})
		},
		Closed: w.closed,
	}
}

func (w *world) closed(reason string, err error) { w.ended <- ending{reason, err} }

func (w *world) accept(accept func(loop.Conn)) (addr netip.AddrPort) {
	w.Helper()
	var err error
	w.post(func() {
		var l loop.Listener
		if l, err = w.loop.Listen(anyPort, accept); err == nil {
			addr = l.Addr()
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	return addr
}

func (w *world) dial(addr netip.AddrPort) net.Conn {
	w.Helper()
	c, err := w.network.Dial(context.Background(), "tcp", addr.String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Hour))
	return c
}
