package portable

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

const (
	// drainTime is how long a socket that nobody listens on any more waits for
	// the next of the connections that the system has queued, and maxDrainTime
	// how long for all: others may come as fast as it accepts them.
	drainTime    = 25 * time.Millisecond
	maxDrainTime = 250 * time.Millisecond
	// acceptPause is how long a socket rests after an error.
	acceptPause = 100 * time.Millisecond
)

// socket is a listening socket that the loops of a group share: it deals its
// connections out in turn. Its fields belong to group.mu.
type socket struct {
	group    *group
	raw      net.Listener
	addr     netip.AddrPort
	changed  *sync.Cond
	members  []*listener
	last     *listener // takes what is queued when no member is left
	lastBy   time.Time // when that ends
	draining bool      // Accept has been called for last
	next     int
}

// listener is one loop's share of a socket; it implements loop.Listener.
type listener struct {
	loop   *Loop
	socket *socket
	accept func(loop.Conn)
	paused bool // belongs to group.mu
}

// Listen implements loop.Loop.
func (l *Loop) Listen(addr netip.AddrPort, accept func(loop.Conn)) (loop.Listener, error) {
	if l.hasStopped() {
		return nil, loop.ErrStopped
	}
	g := l.group
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sockets[addr]
	if s == nil {
		raw, err := g.Network.Listen(addr)
		if err != nil {
			return nil, err
		}
		s = g.newSocket(raw)
		go s.serve()
	}
	m := &listener{loop: l, socket: s, accept: accept}
	l.listeners[m] = struct{}{}
	s.join(m)
	return m, nil
}

func (g *group) newSocket(raw net.Listener) *socket {
	s := &socket{group: g, raw: raw, addr: addrPort(raw.Addr()), changed: sync.NewCond(&g.mu)}
	g.sockets[s.addr] = s
	return s
}

// join is called with group.mu held.
func (s *socket) join(m *listener) {
	if s.last != nil { // it was about to close
		s.last.loop.helpers.Done()
		s.last, s.draining = nil, false
		s.setDeadline(time.Time{})
	}
	s.members = append(s.members, m)
	s.changed.Broadcast()
}

func (s *socket) setDeadline(t time.Time) {
	if d, ok := s.raw.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(t) // fails only on a closed listener
	}
}

// serve accepts until the last member has left and the queue is empty.
func (s *socket) serve() {
	for {
		s.beforeAccept()
		raw, err := s.raw.Accept()
		switch {
		case err == nil:
			s.deal(raw)
		case s.drained(err):
			return
		case !errors.Is(err, os.ErrDeadlineExceeded): // else the last member has left, or one has joined again
			s.rest(err)
		}
	}
}

// beforeAccept sets the deadline of a draining socket just before it matters:
// a busy machine may take long to come to the Accept.
func (s *socket) beforeAccept() {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.last == nil {
		return
	}
	s.draining = true
	by := time.Now().Add(drainTime)
	if s.lastBy.Before(by) {
		by = s.lastBy
	}
	s.setDeadline(by)
}

// deal gives raw to the next member.
func (s *socket) deal(raw net.Conn) {
	m := s.pick()
	if !m.loop.Post(func() { m.take(raw) }) {
		_ = raw.Close()
	}
}

func (m *listener) take(raw net.Conn) {
	if m.loop.ending {
		_ = raw.Close()
		return
	}
	m.give(m.loop.adopt(raw))
}

// give calls accept. If that panics, nobody owns the connection.
func (m *listener) give(c *Conn) {
	owned := false
	defer func() {
		if !owned {
			_ = c.Close()
		}
	}()
	m.accept(c)
	owned = true
}

// pick waits until a member accepts.
func (s *socket) pick() *listener {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	for {
		if s.last != nil {
			return s.last
		}
		for range s.members {
			s.next = (s.next + 1) % len(s.members)
			if m := s.members[s.next]; !m.paused {
				return m
			}
		}
		s.changed.Wait()
	}
}

// drained closes the socket if err is the end of its draining.
func (s *socket) drained(err error) bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.last == nil || !(s.draining && errors.Is(err, os.ErrDeadlineExceeded)) && !errors.Is(err, net.ErrClosed) {
		return false
	}
	s.close()
	s.last.loop.helpers.Done()
	return true
}

// close is called with group.mu held.
func (s *socket) close() {
	_ = s.raw.Close()
	if s.group.sockets[s.addr] == s {
		delete(s.group.sockets, s.addr)
	}
}

func (s *socket) rest(err error) {
	if s.group.OnAcceptError != nil {
		s.group.OnAcceptError(s.addr, err)
	}
	time.Sleep(acceptPause)
}

// Addr implements loop.Listener.
func (m *listener) Addr() netip.AddrPort { return m.socket.addr }

// Pause implements loop.Listener. When all loops pause, one connection may
// already be accepted; it waits too.
func (m *listener) Pause() { m.setPaused(true) }

// Resume implements loop.Listener.
func (m *listener) Resume() { m.setPaused(false) }

func (m *listener) setPaused(paused bool) {
	m.socket.group.mu.Lock()
	defer m.socket.group.mu.Unlock()
	m.paused = paused
	m.socket.changed.Broadcast()
}

// Close implements loop.Listener.
func (m *listener) Close() error {
	if _, open := m.loop.listeners[m]; !open {
		return net.ErrClosed
	}
	m.leave(true)
	return nil
}

// leave takes the listener from its socket; the last one ends that, after it
// has accepted what is queued or at once.
func (m *listener) leave(drain bool) {
	delete(m.loop.listeners, m)
	s := m.socket
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	i := slices.Index(s.members, m)
	s.members = slices.Delete(s.members, i, i+1)
	s.next = 0
	if len(s.members) == 0 {
		s.last = m
		m.loop.helpers.Add(1)
		s.lastBy = time.Now().Add(maxDrainTime)
		s.setDeadline(time.Unix(1, 0)) // ends the Accept that waits
		if !drain {
			s.close()
		}
	}
	s.changed.Broadcast()
}
