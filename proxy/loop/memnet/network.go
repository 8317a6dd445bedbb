// Package memnet is a network in memory: listeners by address and buffered
// connections between them, with half-close, resets, deadlines and
// back-pressure as TCP has them. It keeps to channels' and conditions' rules of
// testing/synctest, so that a whole proxy runs in a bubble with fake time, with
// tests as its clients and origins.
package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// firstEphemeral is where ports for dialing, and for listening on port 0, begin.
const firstEphemeral = 32768

// Network implements loop.Network. Its methods may be called from any goroutine.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*Listener // by "tcp ip:port" or "unix path"
	ports     uint16               // handed out so far
}

// New makes a network without listeners.
func New() *Network {
	return &Network{listeners: make(map[string]*Listener)}
}

// Listen listens for TCP connections on addr; an address that is in use is
// EADDRINUSE. The unspecified addresses take what no other listener has.
func (n *Network) Listen(addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.freePort())
	}
	return n.listen("tcp", addr.String(), net.TCPAddrFromAddrPort(addr))
}

// ListenUnix listens on a unix socket's path; no file is made.
func (n *Network) ListenUnix(path string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listen("unix", path, &net.UnixAddr{Name: path, Net: "unix"})
}

func (n *Network) listen(network, address string, addr net.Addr) (net.Listener, error) {
	key := network + " " + address
	if n.listeners[key] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := newListener(n, key, addr)
	n.listeners[key] = l
	return l, nil
}

func (n *Network) forget(l *Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, l.key)
}

// freePort hands out ports in turn; after 32,768 of them they repeat.
func (n *Network) freePort() uint16 {
	port := firstEphemeral + n.ports%firstEphemeral
	n.ports++
	return port
}

// Dial connects to a listener. Where none is, it fails with ECONNREFUSED (tcp)
// or ENOENT (unix). While the listener's queue is full it waits, until ctx ends.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	return c, nil
}

func (n *Network) dial(ctx context.Context, network, address string) (*Conn, error) {
	switch network {
	case "tcp":
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		return n.dialTCP(ctx, to)
	case "unix":
		l := n.find("unix " + address)
		if l == nil {
			return nil, syscall.ENOENT
		}
		client, server := pipe(&net.UnixAddr{Net: "unix"}, l.addr)
		return client, l.enqueue(ctx, server)
	}
	return nil, net.UnknownNetworkError(network)
}

func (n *Network) dialTCP(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	l := n.find(
		"tcp "+to.String(),
		"tcp "+netip.AddrPortFrom(unspecified(to.Addr()), to.Port()).String(),
		"tcp "+netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port()).String(),
	)
	if l == nil {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	n.mu.Lock()
	from := netip.AddrPortFrom(loopback(to.Addr()), n.freePort())
	n.mu.Unlock()
	client, server := pipe(net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
	return client, l.enqueue(ctx, server)
}

// find returns the listener under the first key that has one.
func (n *Network) find(keys ...string) *Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range keys {
		if l := n.listeners[key]; l != nil {
			return l
		}
	}
	return nil
}

func unspecified(of netip.Addr) netip.Addr {
	if of.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
