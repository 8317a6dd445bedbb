//go:build linux

package epoll

import (
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// backlogPause is how long a dial to a unix socket whose queue is full waits
// before it tries again; the kernel has no event for it.
const backlogPause = 10 * time.Millisecond

// Dial implements loop.Loop.
func (l *Loop) Dial(network, address string, deadline time.Time) (loop.Conn, error) {
	l.mustWait("Dial")
	c, err := l.dial(network, address, deadline)
	switch err {
	case nil:
		return c, nil
	case loop.ErrStopped, os.ErrDeadlineExceeded:
		return nil, err
	}
	return nil, &net.OpError{Op: "dial", Net: network, Addr: dialed(address), Err: err}
}

// dialed is the address of a dial's error.
type dialed string

// Network implements net.Addr; net.OpError has the network already.
func (dialed) Network() string { return "" }

// String implements net.Addr.
func (a dialed) String() string { return string(a) }

func (l *Loop) dial(network, address string, deadline time.Time) (*Conn, error) {
	if l.ending {
		return nil, loop.ErrStopped
	}
	switch network {
	case "tcp":
		return l.dialTCP(address, deadline)
	case "unix":
		return l.dialSocket(&unix.SockaddrUnix{Name: address}, unix.AF_UNIX, deadline)
	}
	return nil, net.UnknownNetworkError(network)
}

func (l *Loop) dialTCP(address string, deadline time.Time) (*Conn, error) {
	remote, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	sa, family, err := sockaddr(remote)
	if err != nil {
		return nil, err
	}
	c, err := l.dialSocket(sa, family, deadline)
	if err != nil {
		return nil, err
	}
	c.remote = remote
	// A dial to a local port where nobody listens may meet itself.
	if c.LocalAddr() == remote {
		_ = c.Abort()
		return nil, os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	return c, nil
}

// dialSocket makes a socket and connects it.
func (l *Loop) dialSocket(sa unix.Sockaddr, family int, deadline time.Time) (*Conn, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // only slower without
	}
	pending, err := l.connect(fd, sa, deadline)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	c, err := l.newConn(fd)
	if err != nil || !pending {
		return c, err
	}
	if err := c.waitConnected(deadline); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// connect begins to connect fd and reports whether that is still under way.
func (l *Loop) connect(fd int, sa unix.Sockaddr, deadline time.Time) (pending bool, err error) {
	for {
		switch err := unix.Connect(fd, sa); err {
		case nil:
			return false, nil
		case unix.EINPROGRESS:
			return true, nil
		case unix.EINTR:
		case unix.EAGAIN:
			if !deadline.IsZero() && !l.now.Before(deadline) {
				return false, os.ErrDeadlineExceeded
			}
			if err := l.Sleep(backlogPause); err != nil {
				return false, err
			}
		default:
			return false, os.NewSyscallError("connect", err)
		}
	}
}

func (c *Conn) waitConnected(deadline time.Time) error {
	c.SetWriteDeadline(deadline)
	for !c.writable {
		if err := c.waitWritable(); err != nil {
			return err
		}
		if c.closed != nil {
			return c.closed
		}
	}
	c.SetWriteDeadline(time.Time{})
	failure, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failure != 0 {
		err = unix.Errno(failure)
	}
	return os.NewSyscallError("connect", err)
}
