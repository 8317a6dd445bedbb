package upstream

import (
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"

	"github.com/sluicegateway/sluice/config"
)

// Endpoint is one address of a backend. It keeps its identity for as long as
// the backend has that address, whatever its conditions. All methods may be
// called from anywhere.
type Endpoint struct {
	backend  *Backend
	address  address
	text     string
	counters counters
	// gone says that the configuration no longer has this endpoint.
	gone atomic.Bool
	// name is set for a domain name.
	name     *name
	protocol config.AppProtocol
	// secure is nil for clear text.
	secure *security
	// bounds are nil if the backend is not restricted.
	bounds *reach
}

// address identifies an endpoint within its backend. With a restriction goes
// another identity, as connections that were made without it are not to be used.
type address struct {
	restricted bool

	ip   netip.AddrPort
	host string
	port uint16
	unix string
}

func addressOf(e *config.Endpoint, restricted bool) address {
	return address{restricted: restricted, ip: e.Address, host: e.Host, port: e.Port, unix: e.Unix}
}

func (a address) String() string {
	switch {
	case a.unix != "":
		return "unix:" + a.unix
	case a.host != "":
		return net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
	}
	return a.ip.String()
}

func newEndpoint(b *Backend, a address, bounds *reach, names *names) *Endpoint {
	e := &Endpoint{backend: b, address: a, text: a.String(), bounds: bounds}
	if a.host != "" {
		e.name = names.acquire(a.host)
	}
	return e
}

// Backend is the backend that the endpoint belongs to.
func (e *Endpoint) Backend() *Backend { return e.backend }

// String is "10.0.0.1:80", "shop.example:80" or "unix:/run/shop.sock".
func (e *Endpoint) String() string { return e.text }

// Counters count what happened at this endpoint.
func (e *Endpoint) Counters() Counters { return e.counters.read() }

// has reports whether a connection to addr is still one to this endpoint.
func (e *Endpoint) has(addr netip.AddrPort) bool {
	if e.gone.Load() {
		return false
	}
	return e.name == nil || e.name.has(addr.Addr())
}

// condition ranks endpoints by whether they may take requests.
type condition int

const (
	unusable condition = iota
	serving
	ready
)

// conditionOf reads the conditions of an EndpointSlice's endpoint. A
// terminating endpoint that serves is the last resort, like any that serves.
func conditionOf(e *config.Endpoint) condition {
	switch {
	case e.Ready:
		return ready
	case e.Serving:
		return serving
	}
	return unusable
}

// Counters are what a backend or an endpoint has seen since the process began.
type Counters struct {
	// Active is the number of requests that hold, or wait for, a connection.
	Active int64
	// Connects and ConnectFailures count attempts to connect by their outcome;
	// a race over the addresses of one name is one attempt.
	Connects, ConnectFailures uint64
	// Reused counts requests that went over a pooled connection.
	Reused uint64
}

type counters struct {
	active                            atomic.Int64
	connects, connectFailures, reused atomic.Uint64
}

func (c *counters) read() Counters {
	return Counters{
		Active:          c.active.Load(),
		Connects:        c.connects.Load(),
		ConnectFailures: c.connectFailures.Load(),
		Reused:          c.reused.Load(),
	}
}

func (e *Endpoint) countActive(n int64) {
	e.counters.active.Add(n)
	e.backend.counters.active.Add(n)
}

func (e *Endpoint) countReused() {
	e.counters.reused.Add(1)
	e.backend.counters.reused.Add(1)
}

func (e *Endpoint) countConnect(err error) {
	if err != nil {
		e.counters.connectFailures.Add(1)
		e.backend.counters.connectFailures.Add(1)
		return
	}
	e.counters.connects.Add(1)
	e.backend.counters.connects.Add(1)
}
