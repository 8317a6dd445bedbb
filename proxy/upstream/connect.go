package upstream

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// attemptDelay is the time between two attempts of a race (RFC 8305 section 5,
// Connection Attempt Delay).
const attemptDelay = 250 * time.Millisecond

// maxAttempts bounds the attempts of a race, however many addresses a name has.
const maxAttempts = 16

// connect makes a connection to e and tells the address that it leads to, if
// e has a domain name.
func (p *Pool) connect(e *Endpoint, deadline time.Time) (loop.Conn, netip.AddrPort, error) {
	switch {
	case e.address.unix != "":
		conn, err := p.loop.Dial("unix", e.address.unix, deadline)
		return conn, netip.AddrPort{}, err
	case e.name == nil:
		conn, err := p.loop.Dial("tcp", e.text, deadline)
		return conn, netip.AddrPort{}, err
	}
	addrs, err := e.name.await(p.loop, deadline)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	if addrs = e.bounds.allowed(addrs); len(addrs) == 0 {
		return nil, netip.AddrPort{}, fmt.Errorf("%w: %s leads to no other", errForbidden, e.address.host)
	}
	r := race{loop: p.loop, port: e.address.port, deadline: deadline, waiter: p.loop.NewWaiter()}
	tried := e.counters.connects.Load() + e.counters.connectFailures.Load()
	return r.run(attemptOrder(addrs, int(tried%math.MaxInt32)))
}

// attemptOrder takes the families in turn, IPv6 first (RFC 8305 section 4), and
// turns each family by n so that connections spread over its addresses.
// It stops at maxAttempts.
func attemptOrder(addrs []netip.Addr, n int) []netip.Addr {
	var v6, v4 []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	order := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			order = append(order, v6[(i+n)%len(v6)])
		}
		if i < len(v4) {
			order = append(order, v4[(i+n)%len(v4)])
		}
	}
	return order[:min(len(order), maxAttempts)]
}

// race connects to the addresses of a name, one after the other and each
// without waiting for the end of the one before (Happy Eyeballs, RFC 8305
// section 5). The first connection wins; others are closed as they come.
type race struct {
	loop     loop.Loop
	port     uint16
	deadline time.Time
	// waiter wakes run whenever an attempt has ended.
	waiter loop.Waiter

	pending int
	over    bool
	conn    loop.Conn
	addr    netip.AddrPort
	err     error
}

// run ends with the last attempt at the latest, and each of those ends at the
// deadline.
func (r *race) run(addrs []netip.Addr) (loop.Conn, netip.AddrPort, error) {
	defer func() { r.over = true }()
	for r.conn == nil {
		if len(addrs) > 0 {
			r.start(netip.AddrPortFrom(addrs[0], r.port))
			addrs = addrs[1:]
		} else if r.pending == 0 {
			return nil, netip.AddrPort{}, r.err
		}
		var next time.Time
		if len(addrs) > 0 {
			next = r.loop.Now().Add(attemptDelay)
		}
		if err := r.waiter.Wait(next); err == loop.ErrStopped {
			return nil, netip.AddrPort{}, err
		}
	}
	return r.conn, r.addr, nil
}

func (r *race) start(addr netip.AddrPort) {
	r.pending++
	r.loop.Go(func() {
		conn, err := r.loop.Dial("tcp", addr.String(), r.deadline)
		r.pending--
		switch {
		case err != nil:
			r.err = errors.Join(r.err, fmt.Errorf("%s: %w", addr, err))
		case r.over || r.conn != nil:
			conn.Close()
		default:
			r.conn, r.addr = conn, addr
		}
		r.waiter.Wake()
	})
}
