//go:build linux

package epoll_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
)

// Workers start to listen on one address at the same time.
func TestConcurrentListen(t *testing.T) {
	loops := run(t, 4, epoll.Options{})
	for range 50 {
		addr := freePort(t)
		listeners := make([]loop.Listener, len(loops))
		errs := make([]error, len(loops))
		var listening sync.WaitGroup
		for i, l := range loops {
			listening.Go(func() {
				on(l, func() { listeners[i], errs[i] = l.Listen(addr, func(loop.Conn) {}) })
			})
		}
		listening.Wait()
		for i, l := range loops {
			if errs[i] != nil {
				t.Fatalf("loop %d: %v", i, errs[i])
			}
			on(l, func() { listeners[i].Close() })
		}
	}
}

// freePort is an address that nobody listened on a moment ago.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", anyPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
