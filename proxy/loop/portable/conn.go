package portable

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// watchPause is how long after a read OnAbort looks for a reset.
const watchPause = 50 * time.Millisecond

// Conn implements loop.Conn over any net.Conn. What belongs to Notify, TryRead
// and OnAbort is read ahead by a lookout, which the next Read adopts.
type Conn struct {
	loop *Loop
	raw  net.Conn

	closed       error // what operations return after Close or the loop's end
	readDeadline time.Time
	reading      bool // a handler is in raw.Read
	lookout      *lookout
	notify       func(error)
	abort        func()
	aborted      bool
	watching     bool // a watch is due
}

// adopt makes raw a connection of l; closed at once if l ends.
func (l *Loop) adopt(raw net.Conn) *Conn {
	c := &Conn{loop: l, raw: raw}
	l.conns[c] = struct{}{}
	if l.ending {
		c.end()
	}
	return c
}

// Dial implements loop.Loop.
func (l *Loop) Dial(network, address string, deadline time.Time) (loop.Conn, error) {
	var raw net.Conn
	var err error
	l.wait("Dial", func() { raw, err = l.dial(network, address, deadline) })
	if err != nil {
		return nil, err
	}
	return l.adopt(raw), nil
}

// Read implements loop.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if c.abort != nil {
		c.watchSoon()
	}
	return n, err
}

// read adopts a lookout, if there is one.
func (c *Conn) read(p []byte) (int, error) {
	for c.lookout != nil && c.closed == nil {
		if c.expired() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := c.readAhead(p)
		if err != loop.ErrAgain {
			return n, err
		}
		if s := c.lookout; s != nil {
			c.loop.wait("Read", func() { <-s.done })
		}
	}
	return c.readRaw(p)
}

func (c *Conn) readRaw(p []byte) (n int, err error) {
	if c.closed != nil {
		return 0, c.closed
	}
	c.reading = true
	c.loop.wait("Read", func() { n, err = c.raw.Read(p) })
	c.reading = false
	return n, c.seen(err)
}

// Write implements loop.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.closed != nil {
		return 0, c.closed
	}
	c.loop.wait("Write", func() { n, err = c.raw.Write(p) })
	return n, c.seen(err)
}

// SetReadDeadline implements loop.Conn.
func (c *Conn) SetReadDeadline(t time.Time) {
	c.readDeadline = t
	_ = c.raw.SetReadDeadline(t) // fails only on a closed connection
}

// SetWriteDeadline implements loop.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) {
	_ = c.raw.SetWriteDeadline(t) // fails only on a closed connection
}

func (c *Conn) expired() bool {
	return !c.readDeadline.IsZero() && !time.Now().Before(c.readDeadline)
}

// OnAbort implements loop.Conn as far as reading and writing show a reset:
// where no handler reads, a lookout does, until bytes come that nobody wants.
func (c *Conn) OnAbort(fn func()) {
	c.abort = fn
	switch {
	case fn == nil:
	case c.aborted:
		c.loop.Post(c.callAbort)
	case !c.reading:
		c.look()
	}
}

// watchSoon starts a lookout when no handler has read for a moment: between
// the reads of a body it would be in the way.
func (c *Conn) watchSoon() {
	if c.watching {
		return
	}
	c.watching = true
	c.loop.AfterFunc(watchPause, func() {
		c.watching = false
		if c.abort != nil && !c.reading {
			c.look()
		}
	})
}

func (c *Conn) callAbort() {
	if fn := c.abort; fn != nil {
		c.abort = nil
		fn()
	}
}

// seen turns an error of raw into that of the contract and notices a reset.
func (c *Conn) seen(err error) error {
	switch {
	case err == nil, err == io.EOF:
		return err
	case c.closed != nil:
		return c.closed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if !c.aborted {
			c.aborted = true
			c.loop.Post(c.callAbort)
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Splice implements loop.Conn: it is not supported.
func (c *Conn) Splice(loop.Conn, int64, time.Duration) (int64, error) {
	return 0, loop.ErrUnsupported
}

// CloseWrite implements loop.Conn.
func (c *Conn) CloseWrite() error {
	if c.closed != nil {
		return c.closed
	}
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok {
		return loop.ErrUnsupported
	}
	return c.seen(half.CloseWrite())
}

// Close implements loop.Conn.
func (c *Conn) Close() error {
	if c.closed != nil {
		return c.closed
	}
	c.closed = net.ErrClosed
	c.notify, c.abort = nil, nil
	delete(c.loop.conns, c)
	return c.raw.Close()
}

// Abort implements loop.Conn.
func (c *Conn) Abort() error {
	if lingerer, ok := c.raw.(interface{ SetLinger(int) error }); ok && c.closed == nil {
		_ = lingerer.SetLinger(0) // a connection that cannot reset is closed
	}
	return c.Close()
}

// end closes the connection because its loop ends.
func (c *Conn) end() {
	notify := c.notify
	_ = c.Close()
	c.closed = loop.ErrStopped
	if notify != nil {
		c.loop.Post(func() { notify(loop.ErrStopped) })
	}
}

// LocalAddr implements loop.Conn.
func (c *Conn) LocalAddr() netip.AddrPort { return addrPort(c.raw.LocalAddr()) }

// RemoteAddr implements loop.Conn.
func (c *Conn) RemoteAddr() netip.AddrPort { return addrPort(c.raw.RemoteAddr()) }

// Loop implements loop.Conn.
func (c *Conn) Loop() loop.Loop { return c.loop }

// addrPort is zero for what is no TCP address.
func addrPort(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
