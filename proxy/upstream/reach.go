package upstream

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// errForbidden is a connection that a restricted backend must not make.
var errForbidden = errors.New("a restricted backend must not reach the address")

// reach says where restricted backends do not lead: to what only the data plane
// and its node can reach. It is immutable.
type reach struct {
	own map[netip.Addr]bool
}

func newReach(own []netip.Addr) *reach {
	r := &reach{own: make(map[netip.Addr]bool, len(own))}
	for _, a := range own {
		r.own[a.Unmap().WithZone("")] = true
	}
	return r
}

// embedded are the IPv6 prefixes behind which a translator, a relay or the
// system itself may find an IPv4 address, and the byte that it begins at.
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible (RFC 4291 section 2.5.5.1)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (RFC 2765 section 2.1)
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64 (RFC 6052 section 2.1)
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64 of a site (RFC 8215)
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4 (RFC 3056 section 2)
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // RFC 1122 section 3.2.1.3; Linux takes 0.0.0.0 for itself
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// metadata are addresses beside link-local ones at which clouds hand out what
// their virtual machines are and may do. Often only nodes reach them.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true, // Amazon
	netip.MustParseAddr("fd20:ce::254"):    true, // Google
	netip.MustParseAddr("168.63.129.16"):   true, // Azure
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle
}

// forbids reports whether no connection is to be made to the address. nil
// forbids none.
func (r *reach) forbids(addr netip.Addr) bool {
	if r == nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid(), r.own[addr], metadata[addr], addr.IsLoopback(), addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return true
	case addr.Is4():
		return thisNetwork.Contains(addr) || addr == broadcast
	}
	for _, e := range embedded {
		if e.prefix.Contains(addr) {
			all := addr.As16()
			return r.forbids(netip.AddrFrom4([4]byte(all[e.at : e.at+4])))
		}
	}
	return false
}

// forbidsConn reports whether a connection has both its ends here: the host may
// have got an address that was not its own at the start.
func (r *reach) forbidsConn(c loop.Conn) bool {
	return r != nil && c.LocalAddr().Addr() == c.RemoteAddr().Addr()
}

// forbidsEndpoint reports whether the endpoint cannot lead anywhere else. What
// a domain name leads to is known when it is resolved.
func (r *reach) forbidsEndpoint(e *config.Endpoint) bool {
	return r != nil && (e.Unix != "" || e.Host == "" && r.forbids(e.Address.Addr()))
}

// allowed are those of the addresses that are not forbidden.
func (r *reach) allowed(addrs []netip.Addr) []netip.Addr {
	if r == nil || !slices.ContainsFunc(addrs, r.forbids) {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), r.forbids)
}
