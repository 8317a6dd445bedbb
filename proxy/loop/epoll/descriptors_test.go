//go:build linux

package epoll_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
)

// Loops stop while connections are on their way from one to the other, are
// dialed, and carry bytes through pipes.
func TestStopLeavesNoDescriptors(t *testing.T) {
	stopInTheMiddle(t) // what the runtime opens for good is open then
	before := openDescriptors(t)
	for range 5 {
		stopInTheMiddle(t)
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func stopInTheMiddle(t *testing.T) {
	loops, err := epoll.New(2, epoll.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, l := range loops {
		running.Go(func() { l.Run() })
	}
	accepted := make(chan struct{}, 1)
	relay := func(c loop.Conn) {
		select {
		case accepted <- struct{}{}:
		default:
		}
		c.Loop().Go(func() {
			defer c.Close()
			c.Splice(c, 1<<30, time.Second)
		})
	}
	addr := listen(t, loops[0], anyPort, relay).Addr()
	listen(t, loops[1], addr, relay)
	loops[1].Post(func() {
		loops[1].Go(func() {
			for {
				c, err := loops[1].Dial("tcp", addr.String(), time.Time{})
				if err != nil {
					return
				}
				c.Write([]byte("hello"))
				if c.Loop().Sleep(0) != nil {
					return // the loop closes it
				}
				c.Abort()
			}
		})
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					return
				}
				c.Write([]byte("hello"))
				c.(*net.TCPConn).SetLinger(0) // a reset leaves no port in TIME_WAIT
				c.Close()
			}
		})
	}
	for range 50 {
		<-accepted
	}
	loops[1].Stop()
	loops[0].Stop()
	running.Wait()
	clients.Wait()
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
