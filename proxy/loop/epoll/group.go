//go:build linux

package epoll

import (
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// backlog is how many connections a socket queues; net.core.somaxconn bounds it.
const backlog = 1 << 15

// group is what the loops of one New share: which of them listens where.
type group struct {
	Options
	loops []*Loop // does not change once New has returned

	mu        sync.Mutex
	listeners map[netip.AddrPort][]*listener
}

func newGroup(options Options) *group {
	return &group{Options: options, listeners: make(map[netip.AddrPort][]*listener)}
}

// release gives up loops that never ran.
func (g *group) release() {
	for _, l := range g.loops {
		l.release()
	}
}

// join is called with g.mu held.
func (g *group) join(s *listener) {
	g.listeners[s.addr] = append(g.listeners[s.addr], s)
}

func (g *group) leave(s *listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest := g.listeners[s.addr]
	if i := slices.Index(rest, s); i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) == 0 {
		delete(g.listeners, s.addr)
		return
	}
	g.listeners[s.addr] = rest
}

// lighter returns the listener of another loop on the address of s, if that
// loop has notably fewer connections. The kernel spreads connections by a hash
// of their addresses; with few of them that is far from even.
func (g *group) lighter(s *listener) *listener {
	least := s.loop
	for _, l := range g.loops {
		if l.accepted.Load() < least.accepted.Load() {
			least = l
		}
	}
	n := least.accepted.Load()
	if s.loop.accepted.Load() <= n+n/8 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, other := range g.listeners[s.addr] {
		if other.loop == least && !other.paused {
			return other
		}
	}
	return nil
}

// bind makes a listening socket on addr, which the group's loops may share but
// no other program. It is called with g.mu held until the listener has joined:
// else another loop would take it for another program.
func (g *group) bind(addr netip.AddrPort) (int, error) {
	if !g.listensOn(addr.Port()) {
		if err := probe(addr); err != nil {
			return -1, err
		}
	}
	fd, err := bound(addr, true)
	if err != nil {
		return -1, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// listensOn is called with g.mu held.
func (g *group) listensOn(port uint16) bool {
	for addr := range g.listeners {
		if addr.Port() == port {
			return true
		}
	}
	return false
}

// probe fails if somebody else listens on addr: SO_REUSEPORT alone would let
// two programs of one user share it unnoticed.
func probe(addr netip.AddrPort) error {
	fd, err := bound(addr, false)
	if err != nil {
		return err
	}
	return os.NewSyscallError("close", unix.Close(fd))
}

// bound makes a socket with the listener's options and binds it.
func bound(addr netip.AddrPort, reusePort bool) (int, error) {
	sa, family, err := sockaddr(addr)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := prepare(fd, family, reusePort); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// prepare sets a listener's options. Accepted sockets inherit TCP_NODELAY.
func prepare(fd, family int, reusePort bool) error {
	options := [][3]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	}
	if reusePort {
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if family == unix.AF_INET6 {
		options = append(options, [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return err
		}
	}
	return nil
}
