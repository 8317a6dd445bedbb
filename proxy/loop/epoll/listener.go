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

const (
	// maxBurst is how many connections a listener accepts in one turn.
	maxBurst = 64
	// acceptPause is how long a listener rests after an error.
	acceptPause = 100 * time.Millisecond
)

// listener is one loop's socket on an address; it implements loop.Listener.
// It is level-triggered, so that a burst goes on in the next turn.
type listener struct {
	loop   *Loop
	fd     int
	addr   netip.AddrPort
	accept func(loop.Conn)
	paused bool // by its owner; written with group.mu held
	rest   *afterFunc
	closed bool
}

// Listen implements loop.Loop.
func (l *Loop) Listen(addr netip.AddrPort, accept func(loop.Conn)) (loop.Listener, error) {
	if l.ending {
		return nil, loop.ErrStopped
	}
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	fd, err := l.group.bind(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	s := &listener{loop: l, fd: fd, addr: addr, accept: accept}
	s.rest = &afterFunc{loop: l, fn: s.update}
	s.rest.timer.owner = s.rest
	if sa, err := unix.Getsockname(fd); err == nil {
		s.addr = netip.AddrPortFrom(addr.Addr(), addrPort(sa).Port())
	}
	if err := l.poller.add(fd, s, unix.EPOLLIN); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.group.join(s)
	return s, nil
}

// ready implements source.
func (s *listener) ready(uint32) {
	for range maxBurst {
		if s.paused || s.closed { // by what accept did
			return
		}
		fd, remote, err := s.acceptOne()
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			s.pauseFor(err)
			return
		}
		s.place(fd, remote)
	}
}

// acceptOne returns EAGAIN if no connection is queued.
func (s *listener) acceptOne() (int, netip.AddrPort, error) {
	for {
		fd, remote, err := accept(s.fd)
		if err != unix.EINTR && err != unix.ECONNABORTED { // the latter: gone while it was queued
			return fd, remote, err
		}
	}
}

// pauseFor lets accepting rest after an error: it would fail again at once.
func (s *listener) pauseFor(err error) {
	s.rest.Reset(acceptPause)
	s.update()
	if s.loop.group.OnAcceptError != nil {
		s.loop.group.OnAcceptError(s.addr, os.NewSyscallError("accept4", err))
	}
}

// place gives a new connection to this loop, or to one that has notably fewer.
func (s *listener) place(fd int, remote netip.AddrPort) {
	if to := s.loop.group.lighter(s); to != nil {
		to.loop.accepted.Add(1)
		if to.loop.inbox.put(func() { to.adopt(fd, remote) }) {
			return
		}
		to.loop.accepted.Add(-1)
	}
	s.loop.accepted.Add(1)
	s.adopt(fd, remote)
}

// adopt makes a connection of fd, which loop.accepted counts already.
func (s *listener) adopt(fd int, remote netip.AddrPort) {
	if s.loop.ending {
		s.loop.accepted.Add(-1)
		unix.Close(fd)
		return
	}
	c, err := s.loop.newConn(fd)
	if err != nil {
		s.loop.accepted.Add(-1)
		s.pauseFor(err)
		return
	}
	c.accepted, c.remote = true, remote
	s.give(c)
}

// give calls accept. If that panics, nobody owns the connection.
func (s *listener) give(c *Conn) {
	owned := false
	defer s.loop.recovered()
	defer func() {
		if !owned {
			_ = c.Close()
		}
	}()
	s.accept(c)
	owned = true
}

// Addr implements loop.Listener.
func (s *listener) Addr() netip.AddrPort { return s.addr }

// Pause implements loop.Listener.
func (s *listener) Pause() { s.setPaused(true) }

// Resume implements loop.Listener.
func (s *listener) Resume() { s.setPaused(false) }

func (s *listener) setPaused(paused bool) {
	s.loop.group.mu.Lock()
	s.paused = paused
	s.loop.group.mu.Unlock()
	s.update()
}

// update has epoll report connections, or not.
func (s *listener) update() {
	if s.closed {
		return
	}
	var events uint32 = unix.EPOLLIN
	if s.paused || s.rest.timer.next != nil {
		events = 0
	}
	if err := s.loop.poller.change(s.fd, events); err != nil {
		panic(err) // a registered descriptor takes any change
	}
}

// Close implements loop.Listener.
func (s *listener) Close() error {
	if s.closed {
		return net.ErrClosed
	}
	for {
		fd, remote, err := s.acceptOne()
		if err != nil {
			break
		}
		s.loop.inbox.put(func() { // accept runs outside any handler
			s.loop.accepted.Add(1)
			s.adopt(fd, remote)
		})
	}
	s.close()
	return nil
}

func (s *listener) close() {
	s.closed = true
	s.rest.Stop()
	s.loop.group.leave(s)
	s.loop.poller.forget(s.fd)
	unix.Close(s.fd)
}
