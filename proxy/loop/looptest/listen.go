package looptest

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

var listenTests = map[string]func(*testing.T, Engine){
	"connections are spread over the loops":       testSpread,
	"an address of another program is refused":    testAddressInUse,
	"a listener can close and listen again":       testListenAgain,
	"Pause leaves connections queued":             testPause,
	"Close accepts what is queued":                testCloseAcceptsQueued,
	"accept may close its listener":               testCloseInAccept,
	"a panic in accept does not end the listener": testAcceptPanic,
	"many clients at once":                        testManyClients,
	"a closed listener refuses":                   testClosedListener,
}

// listenAll has every loop listen on one address.
func (f *fixture) listenAll(accept func(loop.Conn)) []loop.Listener {
	addr := anyPort
	listeners := make([]loop.Listener, len(f.loops))
	for i, l := range f.loops {
		listeners[i] = f.listen(l, addr, accept)
		addr = listeners[i].Addr()
	}
	return listeners
}

func testSpread(t *testing.T, e Engine) {
	const clients = 32
	f := start(t, e, 2)
	accepted := make(chan loop.Conn, clients)
	listeners := f.listenAll(func(c loop.Conn) { accepted <- c })
	counts := make(map[loop.Loop]int)
	for range clients {
		f.dial(listeners[0].Addr())
		counts[(<-accepted).Loop()]++
	}
	for i, l := range f.loops {
		if counts[l] < clients/4 {
			t.Errorf("loop %d got %d of %d connections", i, counts[l], clients)
		}
	}
}

func testAddressInUse(t *testing.T, e Engine) {
	f := start(t, e, 2)
	other, err := f.network.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := addrOf(other)
	f.post(func() {
		l, err := f.loop.Listen(addr, func(loop.Conn) {})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen on a port in use: %v, %v; want EADDRINUSE", l, err)
		}
	})
}

func testListenAgain(t *testing.T, e Engine) {
	f := start(t, e, 1)
	accepted := make(chan int, 1)
	addr := anyPort
	for i := range 3 {
		l := f.listen(f.loop, addr, func(loop.Conn) { accepted <- i })
		addr = l.Addr()
		f.dial(addr)
		if got := <-accepted; got != i {
			t.Errorf("listener %d accepted, want %d", got, i)
		}
		f.post(func() { l.Close() })
	}
}

func testPause(t *testing.T, e Engine) {
	f := start(t, e, 1)
	accepted := make(chan loop.Conn, 8)
	paused := true
	l := f.listen(f.loop, anyPort, func(c loop.Conn) {
		if paused {
			t.Error("accepted while paused")
		}
		accepted <- c
	})
	f.post(l.Pause)
	for range 4 {
		f.dial(l.Addr())
	}
	f.handle(func() { f.loop.Sleep(30 * time.Millisecond) })
	f.post(func() {
		paused = false
		l.Resume()
	})
	for range 4 {
		<-accepted
	}
}

func testCloseAcceptsQueued(t *testing.T, e Engine) {
	const clients = 20
	f := start(t, e, 1)
	l := f.listen(f.loop, anyPort, func(c loop.Conn) { c.Loop().Go(func() { echo(c); c.Close() }) })
	f.post(l.Pause)
	var conns []net.Conn
	for range clients {
		conns = append(conns, f.dial(l.Addr()))
	}
	f.post(func() { l.Close() })
	for _, c := range conns {
		say(t, c, "x")
		hear(t, c, "x")
	}
}

func testCloseInAccept(t *testing.T, e Engine) {
	f := start(t, e, 1)
	var l loop.Listener
	var err error
	f.post(func() {
		l, err = f.loop.Listen(anyPort, func(c loop.Conn) {
			l.Close()
			c.Loop().Go(func() { echo(c); c.Close() })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var clients []net.Conn
	f.post(func() {
		for range 5 {
			clients = append(clients, f.dial(l.Addr()))
		}
	})
	for _, c := range clients {
		say(t, c, "x")
		hear(t, c, "x")
	}
}

func testAcceptPanic(t *testing.T, e Engine) {
	f := start(t, e, 1)
	l := f.listen(f.loop, anyPort, func(loop.Conn) { panic("ouch") })
	for range 2 {
		client := f.dial(l.Addr())
		<-f.panics
		if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v, want the end: the connection has no owner", err)
		}
	}
}

func testManyClients(t *testing.T, e Engine) {
	f := start(t, e, 2)
	listeners := f.listenAll(func(c loop.Conn) { serveIdle(c) })
	var clients sync.WaitGroup
	for range 100 {
		client := f.dial(listeners[0].Addr())
		clients.Go(func() {
			for range 10 {
				if _, err := client.Write([]byte("hello")); err != nil {
					t.Errorf("write: %v", err)
				}
				if _, err := client.Read(make([]byte, 5)); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	clients.Wait()
}

func testClosedListener(t *testing.T, e Engine) {
	f := start(t, e, 1)
	l := f.listen(f.loop, anyPort, func(loop.Conn) {})
	f.post(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := l.Close(); err != net.ErrClosed {
			t.Errorf("a second Close: %v, want net.ErrClosed", err)
		}
	})
	for end := time.Now().Add(20 * time.Second); ; { // it may still accept for a moment
		c, err := f.network.Dial(context.Background(), "tcp", l.Addr().String())
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("dial: %v, want ECONNREFUSED", err)
		}
		c.Close()
		f.handle(func() { f.loop.Sleep(30 * time.Millisecond) })
	}
}
