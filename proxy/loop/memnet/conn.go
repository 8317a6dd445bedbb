package memnet

import (
	"net"
	"time"
)

// Conn is one end of a connection. It implements net.Conn and has CloseWrite
// and SetLinger as net.TCPConn does.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
	linger        int // 0: Close resets
}

// Pipe makes a connection that no listener knows of and returns its two ends.
func Pipe() (*Conn, *Conn) {
	addr := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	return pipe(&addr, &addr)
}

func pipe(client, server net.Addr) (*Conn, *Conn) {
	up, down := newStream(), newStream()
	return &Conn{in: down, out: up, local: client, remote: server, linger: -1},
		&Conn{in: up, out: down, local: server, remote: client, linger: -1}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements net.Conn: it waits while the peer has 64 KiB unread.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite ends the stream to the peer, which reads io.EOF after its last byte.
func (c *Conn) CloseWrite() error { return c.out.finish() }

// SetLinger of 0 makes Close a reset; other values have no meaning here.
func (c *Conn) SetLinger(sec int) error {
	c.linger = sec
	return nil
}

// Close closes both directions. As with TCP, the peer sees a reset rather than
// an end if bytes from it were not read, or after SetLinger(0).
func (c *Conn) Close() error {
	if c.linger == 0 || c.in.unread() {
		c.abort()
	}
	if !c.in.closeReader() {
		return &net.OpError{Op: "close", Net: c.local.Network(), Addr: c.local, Err: net.ErrClosed}
	}
	c.out.closeWriter()
	return nil
}

func (c *Conn) abort() {
	c.in.fail()
	c.out.fail()
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}
