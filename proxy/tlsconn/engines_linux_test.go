package tlsconn_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
// leaves time for others. The signatures of RSA are made beside the loop.
func TestHandshakesTakeTurns(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]*tls.Certificate{"ECDSA": certificate, "RSA": selfSigned(key)} {
		t.Run(name, func(t *testing.T) { takeTurns(t, showing(shown)) })
	}
}

func takeTurns(t *testing.T, profile *tlsconn.Profile) {
	const clients = 20
	l := engines["epoll"](t)
	server := tlsconn.NewServer(l)
	var turn int
	turns, ended := make(chan int, clients), make(chan error, clients)
	bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:0"), func(raw loop.Conn) {
		l.Go(func() {
			defer raw.Close()
			_, err := server.Handshake(raw, l.Now().Add(time.Minute), func(string) *tlsconn.Profile {
				turns <- turn
				return profile
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

// Of handshakes that wait for their turn the newest is next, and one that is
// abandoned ends without: in a flood the older ones are those that are abandoned.
func TestHandshakesThatWait(t *testing.T) {
	const clients, abandoned = 5, 2
	l := engines["epoll"](t)
	server := tlsconn.NewServer(l)
	names, ended := make(chan string, clients), make(chan bool, clients)
	var accepted []loop.Conn
	begin := func(i int) {
		l.Go(func() {
			defer accepted[i].Close()
			_, err := server.Handshake(accepted[i], l.Now().Add(time.Minute), func(name string) *tlsconn.Profile {
				names <- name
				if name == "4.example" { // the others wait
					server.Abandon(accepted[abandoned])
				}
				return nil
			})
			if err == nil {
				t.Errorf("handshake %d went well without a certificate", i)
			}
			ended <- true
		})
	}
	bound, err := l.Listen(netip.MustParseAddrPort("127.0.0.1:0"), func(raw loop.Conn) {
		if accepted = append(accepted, raw); len(accepted) == clients {
			for i := range clients {
				begin(i)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range clients { // all hellos are there before the loop looks
		raw, err := net.Dial("tcp", bound.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if _, err := raw.Write(helloFor(fmt.Sprintf("%d.example", i))); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { l.Run() })
	defer running.Wait()
	defer l.Stop()
	for range clients {
		<-ended
	}
	close(names)
	var turns []string
	for name := range names {
		turns = append(turns, name)
	}
	if want := []string{"0.example", "4.example", "3.example", "1.example"}; !slices.Equal(turns, want) {
		t.Errorf("turns of %v, want %v", turns, want)
	}
}
