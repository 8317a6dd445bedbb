package tlsconn_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/epoll"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
)

func init() {
	engines["epoll"] = func(t *testing.T) loop.Loop {
		loops, err := epoll.New(1, epoll.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return loops[0]
	}
}

func TestConnOnEpoll(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Records: true,
		Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			loops, err := epoll.New(n, epoll.Options{OnPanic: onPanic})
			if err != nil {
				t.Fatal(err)
			}
			return secure(loops, loop.HostNetwork{})
		},
	})
}

// In a turn of the loop one handshake does its sums, so that a flood of them
// leaves time for others.
func TestHandshakesTakeTurns(t *testing.T) {
	const clients = 20
	l := engines["epoll"](t)
	server := tlsconn.NewServer(l)
	var turn int
	turns, ended := make(chan int, clients), make(chan error, clients)
	bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:0"), func(raw loop.Conn) {
		l.Go(func() {
			defer raw.Close()
			_, err := server.Handshake(raw, l.Now().Add(time.Minute), func(string) tlsconn.Certificates {
				turns <- turn
				return tlsconn.Certificates{certificate}
			})
			ended <- err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	over := false
	var count func()
	count = func() {
		if turn++; !over {
			l.Post(count)
		}
	}
	l.Post(count)
	var running sync.WaitGroup
	for range clients { // all are there before the loop looks
		raw, err := net.Dial("tcp", bound.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer raw.Close()
			if err := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
				t.Errorf("handshake: %v", err)
			}
		})
	}
	running.Go(func() { l.Run() })
	defer running.Wait()
	defer l.Stop()
	defer l.Post(func() { over = true })
	seen := map[int]bool{}
	for range clients {
		n := <-turns
		if seen[n] {
			t.Errorf("turn %d had two handshakes", n)
		}
		seen[n] = true
	}
	for range clients {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
