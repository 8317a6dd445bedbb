package looptest

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// testChaos has clients talk, be silent, end and reset at random, to servers
// that wait in every way there is. Nothing may panic, hang or be left.
func testChaos(t *testing.T, e Engine) {
	const clients = 60
	f := start(t, e, 2)
	servers := newCrew(clients)
	listeners := f.listenAll(func(c loop.Conn) {
		c.Loop().Go(func() {
			defer servers.leave()
			defer c.Close()
			serveAtRandom(c)
		})
	})
	var peers sync.WaitGroup
	for i := range clients {
		c := f.dial(listeners[0].Addr())
		random := rand.New(rand.NewPCG(uint64(i), 7))
		peers.Go(func() { talkAtRandom(c, random) })
	}
	peers.Wait()
	servers.wait()
}

// crew counts the servers that have not ended; they are on several loops.
type crew struct{ left chan struct{} }

func newCrew(n int) *crew { return &crew{left: make(chan struct{}, n)} }

func (c *crew) leave() { c.left <- struct{}{} }

func (c *crew) wait() {
	for range cap(c.left) {
		<-c.left
	}
}

// serveAtRandom echoes until the connection fails.
func serveAtRandom(c loop.Conn) {
	w := c.Loop().NewWaiter()
	aborted := false
	c.OnAbort(func() {
		aborted = true
		w.Wake()
	})
	buf := make([]byte, 4096)
	for !aborted {
		c.SetReadDeadline(c.Loop().Now().Add(time.Duration(rand.IntN(30)) * time.Millisecond))
		switch rand.IntN(4) {
		case 0:
			c.Notify(func(error) { w.Wake() })
			w.Wait(c.Loop().Now().Add(20 * time.Millisecond))
			c.StopNotify()
		case 1:
			c.Loop().Await(func() {})
		case 2:
			c.Loop().Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
		}
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func talkAtRandom(c net.Conn, random *rand.Rand) {
	message := make([]byte, 1+random.IntN(8000))
	for range random.IntN(10) {
		if _, err := c.Write(message); err != nil {
			break
		}
		if _, err := c.Read(message[:1+random.IntN(len(message))]); err != nil {
			break
		}
	}
	switch random.IntN(4) {
	case 0:
		reset(c)
	case 1:
		c.(interface{ CloseWrite() error }).CloseWrite()
	case 2:
		c.Close()
	default: // silent: the server's deadline ends it
	}
}
