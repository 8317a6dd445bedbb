package upstream

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/sluicegateway/sluice/config"
)

// ErrNoEndpoints says that a backend has no endpoint that may take a request;
// the answer is 503 (HTTPRoute, backendRefs).
var ErrNoEndpoints = errors.New("upstream: the backend has no ready endpoint")

// Backend is what a backendRef names. It is a lasting handle: endpoints come
// and go behind it, and a backend that is removed and set again is the same
// Backend to whoever still holds it. All methods may be called from anywhere.
type Backend struct {
	name     string
	counters counters
	state    atomic.Pointer[state]
	// cursors are the places in the round robin, one per worker, each touched
	// by its own loop only.
	cursors []uint32
}

// state is what a backend has at one time; it is immutable.
type state struct {
	protocol config.AppProtocol
	// secure is nil for clear text.
	secure *security
	fault  *config.Fault
	// endpoints in the order of the configuration, each address once.
	endpoints []*Endpoint
	// usable are those that take requests; with a fault there are none.
	usable []*Endpoint
}

func newBackend(name string, workers int) *Backend {
	b := &Backend{name: name, cursors: make([]uint32, workers)}
	// Loops that start at different places are even together.
	for i := range b.cursors {
		b.cursors[i] = uint32(i)
	}
	b.state.Store(&state{protocol: config.AppHTTP})
	return b
}

// Name is the backend's name in the configuration.
func (b *Backend) Name() string { return b.name }

// Protocol is what the backend speaks.
func (b *Backend) Protocol() config.AppProtocol { return b.state.Load().protocol }

// Fault is the answer to every request to the backend, where it has one: that of
// its configuration, or one that says why its TLS cannot be followed.
func (b *Backend) Fault() *config.Fault { return b.state.Load().fault }

// Endpoints are the backend's endpoints, ready or not. The slice is not to be changed.
func (b *Backend) Endpoints() []*Endpoint { return b.state.Load().endpoints }

// Usable are the endpoints that take requests at present: those that are
// ready; if none is, those that serve, terminating ones among them (as
// kube-proxy does: KEP-1669). The slice is not to be changed.
func (b *Backend) Usable() []*Endpoint { return b.state.Load().usable }

// Counters are the sums over all endpoints that the backend ever had.
func (b *Backend) Counters() Counters { return b.counters.read() }

// set replaces the endpoints and returns those that went away. Endpoints that
// stay keep their identity, and with it their counters and pooled connections.
func (b *Backend) set(c *config.Backend, bs *Backends) (gone []*Endpoint) {
	old := b.state.Load()
	live := make(map[address]*Endpoint, len(old.endpoints))
	for _, e := range old.endpoints {
		if !e.gone.Load() {
			live[e.address] = e
		}
	}
	s := &state{protocol: c.Protocol, secure: compileSecurity(c.TLS, old.secure, &bs.authorities), fault: c.Fault}
	if s.secure != nil && s.secure.fault != nil {
		s.fault = cmp.Or(s.fault, &config.Fault{Status: 500, Reason: s.secure.fault.Error()})
		if s.secure != old.secure {
			bs.log.Error("a backend takes no requests: its endpoints cannot be verified", "backend", b.name, "error", s.secure.fault)
		}
	}
	kept := live
	if old.protocol != s.protocol || old.secure != s.secure {
		kept = nil // connections speak the protocol that they were made for
	}
	b.build(s, c, kept, bs)
	b.state.Store(s)
	return slices.Collect(maps.Values(live))
}

// build gives the new state its endpoints and takes what it uses out of kept. An address that
// stands more than once, as it may in several EndpointSlices, is one endpoint in
// the best of its conditions. One that a restricted backend must not reach is none.
func (b *Backend) build(s *state, c *config.Backend, kept map[address]*Endpoint, bs *Backends) {
	var bounds *reach
	if c.Restricted {
		bounds = bs.reach
	}
	best := map[*Endpoint]condition{}
	seen := map[address]*Endpoint{}
	for i := range c.Endpoints {
		a := addressOf(&c.Endpoints[i], c.Restricted)
		if bounds.forbidsEndpoint(&c.Endpoints[i]) {
			bs.log.Warn("an endpoint is not used: a restricted backend must not reach it", "backend", b.name, "endpoint", a.String())
			continue
		}
		e := seen[a]
		if e == nil {
			if e = kept[a]; e == nil {
				e = newEndpoint(b, a, bounds, bs.names)
				e.protocol, e.secure = s.protocol, s.secure
			}
			delete(kept, a)
			seen[a] = e
			s.endpoints = append(s.endpoints, e)
		}
		best[e] = max(best[e], conditionOf(&c.Endpoints[i]))
	}
	if s.fault == nil {
		s.usable = usable(s.endpoints, best)
	}
}

// usable are the endpoints in the best condition that any of them is in.
func usable(endpoints []*Endpoint, conditions map[*Endpoint]condition) []*Endpoint {
	best := serving
	for _, c := range conditions {
		best = max(best, c)
	}
	var in []*Endpoint
	for _, e := range endpoints {
		if conditions[e] == best {
			in = append(in, e)
		}
	}
	return in
}

// pick is the worker's next endpoint in turn that is not among those tried. If
// all are, it is any but the last of them; if there is but one, that one.
func (b *Backend) pick(worker int, tried []*Endpoint) (*Endpoint, error) {
	usable := b.state.Load().usable
	n := uint32(len(usable))
	if n == 0 {
		return nil, ErrNoEndpoints
	}
	first := b.cursors[worker]
	b.cursors[worker] = (first + 1) % n
	if len(tried) == 0 {
		return usable[first%n], nil
	}
	fallback := usable[first%n]
	for i := range n {
		e := usable[(first+i)%n]
		if !slices.Contains(tried, e) {
			b.cursors[worker] = (first + i + 1) % n
			return e, nil
		}
		if fallback == tried[len(tried)-1] {
			fallback = e
		}
	}
	return fallback, nil
}
