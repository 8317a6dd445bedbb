package loop_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/sluicegateway/sluice/proxy/loop"
)

func TestHostNetworkListens(t *testing.T) {
	for _, c := range []struct {
		listen, dial string
		reached      bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"0.0.0.0", "127.0.0.1", true},
		{"0.0.0.0", "::1", false},
		{"::", "127.0.0.1", true},
		{"::", "::1", true},
		{"::1", "127.0.0.1", false},
	} {
		t.Run(c.dial+" at "+c.listen, func(t *testing.T) {
			var network loop.HostNetwork
			l, err := network.Listen(netip.AddrPortFrom(netip.MustParseAddr(c.listen), 0))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := netip.MustParseAddrPort(l.Addr().String()).Port()
			to := netip.AddrPortFrom(netip.MustParseAddr(c.dial), port)
			conn, err := network.Dial(context.Background(), "tcp", to.String())
			if err == nil {
				conn.Close()
			}
			if (err == nil) != c.reached {
				t.Errorf("dial: %v, want it to succeed: %t", err, c.reached)
			}
		})
	}
}
