package mux_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// Whatever the order of things, each request that nobody gives up gets its own
// answer, whole, and nothing is left in the end.
func TestHistories(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 5))
				network := chaosNetwork{memnet.New(), random}
				w := &world{TB: t, loop: portable.New(1, portable.Options{Network: network})[0], network: network, ended: make(chan ending, 10)}
				defer w.run()()
				history(w, random)
			})
		})
	}
}

func history(w *world, random *rand.Rand) {
	const requests = 150
	limits := mux.DefaultLimits
	limits.Streams = 1 + random.IntN(20)
	limits.Window = 64<<10 + random.IntN(1<<20)
	limits.Rudeness = 1 << 20
	addr := w.listen(&limits, func(st *mux.Stream) {
		if random.IntN(10) == 0 {
			w.loop.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		}
		if random.IntN(20) == 0 {
			return // it leaves without an answer
		}
		echo(st)
	})
	served, failed, left := 0, 0, requests
	w.do(func() {
		s, err := w.connect(addr)
		if err != nil {
			w.Error(err)
			return
		}
		done := w.loop.NewWaiter()
		for i := range requests {
			for s.Room() == 0 {
				w.loop.Sleep(time.Millisecond)
			}
			st, err := s.Open()
			if err != nil {
				w.Error(err)
				return
			}
			w.loop.Go(func() {
				switch err := w.oneOf(st, random, i); {
				case err == nil:
					served++
				case errors.As(err, new(*mux.StreamError)), errors.Is(err, net.ErrClosed):
					failed++
				default:
					w.Errorf("request %d: %v", i, err)
				}
				left--
				done.Wake()
			})
			if random.IntN(3) == 0 {
				w.loop.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
			}
		}
		for left > 0 {
			done.Wait(time.Time{})
		}
		if s.Streams() != 0 {
			w.Errorf("%d streams are left", s.Streams())
		}
		s.Drain()
	})
	for range 2 {
		if e := <-w.ended; e != (ending{}) {
			w.Errorf("ended with %+v", e)
		}
	}
	if served < requests/2 || served+failed != requests {
		w.Errorf("%d were served and %d failed", served, failed)
	}
}

// oneOf sends a request with some body, which may be given up on the way.
func (w *world) oneOf(st *mux.Stream, random *rand.Rand, i int) error {
	defer st.Close()
	body := bytes.Repeat([]byte{byte(i)}, random.IntN(1<<random.IntN(19)))
	givenUp := random.IntN(10) == 0
	r := request("POST", fmt.Sprint("/", i))
	if r.BodyLength = message.LengthUnknown; random.IntN(2) == 0 && len(body) > 0 {
		r.BodyLength = int64(len(body))
	}
	if err := st.WriteRequest(&r, false); err != nil {
		return err
	}
	w.loop.Go(func() {
		for rest := body; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			if givenUp && random.IntN(3) == 0 {
				st.Abort()
				return
			}
			if _, err := st.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		st.CloseWrite()
	})
	var answer message.Response
	if err := st.ReadResponse(&answer); err != nil {
		return err
	}
	if got := answer.Header.Get("x-request"); got != fmt.Sprint("POST /", i) {
		w.Errorf("request %d got the answer to %s", i, got)
	}
	got, err := io.ReadAll(st)
	if err == nil && !bytes.Equal(got, body) {
		w.Errorf("request %d: %d bytes came back of %d", i, len(got), len(body))
	}
	return err
}

// chaosNetwork tears what is written into pieces and delays them.
type chaosNetwork struct {
	*memnet.Network
	random *rand.Rand
}

func (n chaosNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return chaosConn{c.(*memnet.Conn), rand.New(rand.NewPCG(n.random.Uint64(), 1))}, nil
}

type chaosConn struct {
	*memnet.Conn
	random *rand.Rand
}

func (c chaosConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if c.random.IntN(8) == 0 {
			time.Sleep(time.Duration(c.random.IntN(3000)) * time.Microsecond)
		}
		var more int
		more, err = c.Conn.Write(p[n:min(len(p), n+1+c.random.IntN(1<<c.random.IntN(17)))])
		n += more
	}
	return n, err
}

var _ loop.Network = chaosNetwork{}
