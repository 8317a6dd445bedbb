package loop

import (
	"context"
	"net"
	"net/netip"
)

// Network makes the connections of portable loops. HostNetwork is the
// machine's; package memnet has one in memory, for tests.
type Network interface {
	// Listen listens for TCP connections. [::] means IPv4 and IPv6, 0.0.0.0
	// IPv4 only.
	Listen(addr netip.AddrPort) (net.Listener, error)
	// Dial connects to address: "tcp" with ip:port, "unix" with a path.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// HostNetwork is the network of the machine.
type HostNetwork struct{}

// Listen implements Network.
func (HostNetwork) Listen(addr netip.AddrPort) (net.Listener, error) {
	if addr.Addr().Is4() {
		return net.Listen("tcp4", addr.String()) // "tcp" would make 0.0.0.0 mean IPv6 too
	}
	return net.Listen("tcp", addr.String())
}

// Dial implements Network.
func (HostNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}
