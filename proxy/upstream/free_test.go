package upstream_test

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// BenchmarkPickGetPut is the pool's whole share of a request whose connection
// is warm, over a connection that costs nothing.
func BenchmarkPickGetPut(b *testing.B) {
	backends := upstream.NewBackends(upstream.Options{Workers: 1})
	defer backends.Close()
	pool := backends.NewPool(freeLoop{conn: &freeConn{tryRead: quiet}})
	backends.Apply(&config.Delta{Backends: []*config.Backend{{Name: "web", Endpoints: []config.Endpoint{
		endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80"),
	}}}})
	backend := backends.Backend("web")
	b.ReportAllocs()
	for b.Loop() {
		e, err := pool.Pick(backend, nil)
		if err != nil {
			b.Fatal(err)
		}
		c, _, err := pool.Get(e, upstream.Want{})
		if err != nil {
			b.Fatal(err)
		}
		pool.Put(c)
	}
}

func BenchmarkPick(b *testing.B) {
	backends := upstream.NewBackends(upstream.Options{Workers: 1})
	defer backends.Close()
	pool := backends.NewPool(freeLoop{conn: &freeConn{tryRead: quiet}})
	backends.Apply(&config.Delta{Backends: []*config.Backend{{Name: "web", Endpoints: []config.Endpoint{
		endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80"),
	}}}})
	backend := backends.Backend("web")
	tried := backend.Endpoints()[:1]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pool.Pick(backend, tried); err != nil {
			b.Fatal(err)
		}
	}
}

// What has arrived when a connection is taken counts, told of or not.
func TestPoolLooksBeforeItReuses(t *testing.T) {
	for name, happen := range map[string]func([]byte) (int, error){
		"a byte":       func([]byte) (int, error) { return 1, nil },
		"the peer end": func([]byte) (int, error) { return 0, io.EOF },
		"a reset":      func([]byte) (int, error) { return 0, syscall.ECONNRESET },
	} {
		backends := upstream.NewBackends(upstream.Options{Workers: 1})
		defer backends.Close()
		conn := &freeConn{tryRead: happen}
		pool := backends.NewPool(freeLoop{conn: conn})
		backends.Apply(&config.Delta{Backends: []*config.Backend{{
			Name: "web", Endpoints: []config.Endpoint{endpoint("10.0.0.1:80")},
		}}})
		e := backends.Backend("web").Endpoints()[0]
		c, _, err := pool.Get(e, upstream.Want{})
		if err != nil {
			t.Fatal(err)
		}
		pool.Put(c)
		if _, reused, _ := pool.Get(e, upstream.Want{}); reused || !conn.closed {
			t.Errorf("after %s: reused: %v, closed: %v", name, reused, conn.closed)
		}
	}
}

// freeLoop and freeConn do at once and for nothing what a pool asks of them.
type freeLoop struct {
	loop.Loop
	conn *freeConn
}

func (freeLoop) Now() time.Time { return time.Time{} }

func (l freeLoop) Dial(string, string, time.Time) (loop.Conn, error) { return l.conn, nil }

type freeConn struct {
	loop.Conn
	tryRead func([]byte) (int, error)
	closed  bool
}

func (*freeConn) Notify(func(error))              {}
func (*freeConn) StopNotify() bool                { return true }
func (*freeConn) SetReadDeadline(time.Time)       {}
func (*freeConn) SetWriteDeadline(time.Time)      {}
func (c *freeConn) TryRead(p []byte) (int, error) { return c.tryRead(p) }

func (c *freeConn) Close() error {
	c.closed = true
	return nil
}

// quiet is the TryRead of a connection on which nothing has arrived.
func quiet([]byte) (int, error) { return 0, loop.ErrAgain }
