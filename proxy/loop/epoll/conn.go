//go:build linux

package epoll

import (
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// connEvents are what a connection is registered for, once.
const connEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

// Conn implements loop.Conn for a TCP or unix stream socket.
type Conn struct {
	loop     *Loop
	fd       int
	accepted bool  // it counts in loop.accepted
	closed   error // what operations return after Close or the loop's end

	// What the kernel has said, as of the last event or system call.
	readable bool // bytes may be there, or the end, or an error
	writable bool // there may be room
	partial  bool // a read that does not fill its buffer may leave bytes, or the end
	aborted  bool
	finished bool // we have sent our FIN

	reader    *coroutine // waits to read
	writer    *coroutine // waits to write
	readBy    tick
	writeBy   tick
	readTurn  uint64 // the turn in which it was last read
	notify    func(error)
	notifyDue timer // notify's deadline
	onAbort   func()

	local, remote netip.AddrPort // zero until somebody asks
}

func (l *Loop) newConn(fd int) (*Conn, error) {
	c := &Conn{loop: l, fd: fd}
	c.notifyDue.owner = c
	if err := l.poller.add(fd, c, connEvents); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return c, nil
}

// ready implements source.
func (c *Conn) ready(events uint32) {
	const broken = unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLRDHUP|unix.EPOLLPRI|broken) != 0 {
		c.partial = true
	}
	if events&(unix.EPOLLOUT|broken) != 0 {
		c.writable = true
		c.wakeWriter()
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|broken) != 0 {
		c.readable = true
		c.wakeReader()
	}
	// When both sides have ended their streams in peace, that is a hang-up too.
	if events&unix.EPOLLERR != 0 || events&unix.EPOLLHUP != 0 && !c.finished {
		c.aborted = true
		c.callOnAbort()
	}
}

func (c *Conn) wakeReader() {
	switch {
	case c.reader != nil:
		c.reader.resume(nil)
	case c.notify != nil && (c.readTurn != c.loop.turn || c.peek()):
		c.callNotify(nil)
	}
}

func (c *Conn) wakeWriter() {
	if c.writer != nil {
		c.writer.resume(nil)
	}
}

// Read implements loop.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.readBy != never && c.readBy <= c.loop.wheel.now && c.closed == nil {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := c.TryRead(p)
		if err != loop.ErrAgain {
			c.loop.spend(n)
			return n, err
		}
		if err := c.waitReadable(); err != nil {
			return 0, err
		}
	}
}

// TryRead implements loop.Conn.
func (c *Conn) TryRead(p []byte) (int, error) {
	switch {
	case c.closed != nil:
		return 0, c.closed
	case len(p) == 0:
		return 0, nil
	case !c.readable:
		return 0, loop.ErrAgain
	}
	n, err := c.receive(p, 0)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

// receive notices when the socket is drained: EAGAIN and, while the peer has
// neither ended its stream nor sent urgent data, fewer bytes than there was room for.
func (c *Conn) receive(p []byte, flags int) (int, error) {
	c.readTurn = c.loop.turn
	n, err := recv(c.fd, p, flags)
	switch {
	case err == unix.EAGAIN:
		c.readable = false
		return 0, loop.ErrAgain
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n < len(p) && !c.partial && n > 0:
		c.readable = false
	}
	return n, nil
}

func (c *Conn) waitReadable() error {
	if c.reader != nil {
		panic("loop: two handlers read from one connection")
	}
	c.reader = c.loop.mustWait("Read")
	err := c.reader.park(c.readBy)
	c.reader = nil
	return err
}

// Write implements loop.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for {
		if err := c.beforeWrite(); err != nil {
			return n, err
		}
		sent, err := c.send(p[n:])
		if err == loop.ErrAgain {
			if err := c.waitWritable(); err != nil {
				return n, err
			}
			continue
		}
		n += sent
		c.loop.spend(sent)
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

func (c *Conn) beforeWrite() error {
	switch {
	case c.closed != nil:
		return c.closed
	case c.writeBy != never && c.writeBy <= c.loop.wheel.now:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// send gives the kernel what it takes: less than all means that it is full.
func (c *Conn) send(p []byte) (int, error) {
	if !c.writable {
		return 0, loop.ErrAgain
	}
	n, err := send(c.fd, p)
	switch {
	case err == unix.EAGAIN:
		c.writable = false
		return 0, loop.ErrAgain
	case err != nil:
		return 0, os.NewSyscallError("write", err)
	case n < len(p):
		c.writable = false
	}
	return n, nil
}

func (c *Conn) waitWritable() error {
	if c.writer != nil {
		panic("loop: two handlers write to one connection")
	}
	c.writer = c.loop.mustWait("Write")
	err := c.writer.park(c.writeBy)
	c.writer = nil
	return err
}

// SetReadDeadline implements loop.Conn.
func (c *Conn) SetReadDeadline(t time.Time) { c.setReadBy(c.loop.clock.deadline(t)) }

func (c *Conn) setReadBy(at tick) {
	c.readBy = at
	if c.reader != nil {
		c.reader.setDeadline(at)
	}
	if c.notify != nil {
		c.armNotify()
	}
}

// SetWriteDeadline implements loop.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) { c.setWriteBy(c.loop.clock.deadline(t)) }

func (c *Conn) setWriteBy(at tick) {
	c.writeBy = at
	if c.writer != nil {
		c.writer.setDeadline(at)
	}
}

// CloseWrite implements loop.Conn.
func (c *Conn) CloseWrite() error {
	if c.closed != nil {
		return c.closed
	}
	c.finished = true
	return os.NewSyscallError("shutdown", shutdown(c.fd))
}

// Close implements loop.Conn.
func (c *Conn) Close() error {
	if c.closed != nil {
		return c.closed
	}
	c.closed = net.ErrClosed
	c.StopNotify()
	c.onAbort = nil
	c.wakeReader()
	c.wakeWriter()
	if c.accepted {
		c.loop.accepted.Add(-1)
	}
	c.loop.poller.forget(c.fd)
	return os.NewSyscallError("close", closeSocket(c.fd))
}

// Abort implements loop.Conn.
func (c *Conn) Abort() error {
	if c.closed == nil {
		linger := unix.Linger{Onoff: 1}
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger) // a socket that cannot reset is closed
	}
	return c.Close()
}

// end closes the connection because its loop ends.
func (c *Conn) end() {
	notify := c.notify
	_ = c.Close()
	c.closed = loop.ErrStopped
	if notify != nil {
		c.Notify(notify)
	}
}

// LocalAddr implements loop.Conn.
func (c *Conn) LocalAddr() netip.AddrPort {
	if !c.local.IsValid() && c.closed == nil {
		if sa, err := unix.Getsockname(c.fd); err == nil {
			c.local = addrPort(sa)
		}
	}
	return c.local
}

// RemoteAddr implements loop.Conn.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Loop implements loop.Conn.
func (c *Conn) Loop() loop.Loop { return c.loop }
