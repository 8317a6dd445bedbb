package mux_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/looptest"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// A stream keeps the contract of a loop's connections: here one of a server,
// with one of a client as its peer.
func TestStreamOnHostNetwork(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			return multiplexed(t, portable.New(n, portable.Options{OnPanic: onPanic}), loop.HostNetwork{})
		},
	})
}

func TestStreamInBubble(t *testing.T) {
	looptest.RunConns(t, looptest.Engine{
		Bubble: true,
		Make: func(t testing.TB, n int, onPanic func(any, []byte)) ([]loop.Loop, loop.Network) {
			network := memnet.New()
			return multiplexed(t, portable.New(n, portable.Options{Network: network, OnPanic: onPanic}), network)
		},
	})
}

// multiplexed has loops accept streams, and dials streams to them.
func multiplexed(t testing.TB, loops []loop.Loop, network loop.Network) ([]loop.Loop, loop.Network) {
	peer := portable.New(1, portable.Options{Network: network})[0]
	var running sync.WaitGroup
	running.Go(func() { peer.Run() })
	t.Cleanup(func() {
		peer.Stop()
		running.Wait()
	})
	var accepting []loop.Loop
	for _, l := range loops {
		accepting = append(accepting, streamLoop{l})
	}
	return accepting, streamNetwork{network, peer}
}

// streamLoop accepts the streams of connections.
type streamLoop struct{ loop.Loop }

func (l streamLoop) Listen(addr netip.AddrPort, accept func(loop.Conn)) (loop.Listener, error) {
	return l.Loop.Listen(addr, func(raw loop.Conn) {
		mux.Serve(raw, nil, &mux.ServerOptions{Serve: func(st *mux.Stream) {
			l.Go(func() {
				if err := st.WriteResponse(&message.Response{Status: 200, BodyLength: message.LengthUnknown}, false); err == nil {
					l.Post(func() { accept(endingConn{st}) })
				}
			})
		}})
	})
}

// endingConn ends its side when it is closed, as TCP does.
type endingConn struct{ *mux.Stream }

func (c endingConn) Close() error {
	_ = c.End(nil)
	return c.Stream.Close()
}

// streamNetwork dials streams.
type streamNetwork struct {
	loop.Network
	loop loop.Loop
}

func (n streamNetwork) Dial(_ context.Context, network, address string) (net.Conn, error) {
	c := &streamConn{loop: n.loop}
	var err error
	c.do(func() {
		var raw loop.Conn
		if raw, err = n.loop.Dial(network, address, time.Time{}); err != nil {
			return
		}
		if c.Stream, err = mux.NewClient(raw, &mux.ClientOptions{}).Open(); err == nil {
			err = c.WriteRequest(&message.Request{Method: "POST", Scheme: "http", Authority: "a", Path: "/", BodyLength: message.LengthUnknown}, false)
		}
	})
	return c, err
}

// streamConn is a client's stream for those who are not on its loop.
type streamConn struct {
	*mux.Stream
	loop   loop.Loop
	headed bool
	resets bool
}

func (c *streamConn) do(fn func()) {
	done := make(chan struct{})
	if c.loop.Post(func() {
		c.loop.Go(func() {
			defer close(done)
			fn()
		})
	}) {
		<-done
	}
}

func (c *streamConn) Read(p []byte) (n int, err error) {
	c.do(func() {
		if !c.headed {
			c.headed = true
			if err = c.ReadResponse(new(message.Response)); err != nil {
				return
			}
		}
		n, err = c.Stream.Read(p)
	})
	return n, err
}

func (c *streamConn) Write(p []byte) (n int, err error) {
	c.do(func() { n, err = c.Stream.Write(p) })
	return n, err
}

func (c *streamConn) CloseWrite() (err error) {
	c.do(func() { err = c.Stream.CloseWrite() })
	return err
}

func (c *streamConn) SetLinger(sec int) error {
	c.resets = sec == 0
	return nil
}

func (c *streamConn) Close() error {
	c.do(func() {
		if c.resets {
			c.Stream.Abort()
		} else {
			c.Stream.CloseWrite()
		}
	})
	return nil
}

func (c *streamConn) SetDeadline(t time.Time) error {
	c.do(func() {
		c.Stream.SetReadDeadline(t)
		c.Stream.SetWriteDeadline(t)
	})
	return nil
}

func (c *streamConn) SetReadDeadline(t time.Time) error {
	c.do(func() { c.Stream.SetReadDeadline(t) })
	return nil
}

func (c *streamConn) SetWriteDeadline(t time.Time) error {
	c.do(func() { c.Stream.SetWriteDeadline(t) })
	return nil
}

func (c *streamConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.Stream.LocalAddr()) }
func (c *streamConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Stream.RemoteAddr()) }
