package upstream

import "net/netip"

// Restricted returns a function that reports whether an address is one that
// restricted backends must not reach; own are the data plane's and its node's.
func Restricted(own []netip.Addr) func(netip.Addr) bool { return newReach(own).forbids }
