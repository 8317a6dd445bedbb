// Package upstream is the backends' side of the data plane: which backend of a
// rule, which of its endpoints and which connection a request takes, and how
// domain names become addresses.
//
// State belongs to backends, never to routes: a rule holds a [Backend], and
// however its endpoints change, counters and pooled connections of those that
// stay are kept. What every request touches belongs to one loop ([Pool],
// [Split]) and needs no lock; what the whole process shares is immutable
// behind an atomic pointer, or an atomic counter.
//
// A request takes its way in three steps: [Split.Next] chooses the backendRef,
// [Pool.Pick] the endpoint, [Pool.Get] the connection.
package upstream

import (
	"log/slog"
	"net/netip"
	"sync"
	"weak"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/loop"
)

// Options of the upstream side of one process.
type Options struct {
	// Workers is the number of loops, and so of pools.
	Workers int
	// Resolver finds the addresses of endpoints that are domain names.
	Resolver Resolver
	// Own are addresses of this process and its host, which restricted backends
	// must not reach.
	Own []netip.Addr
	// Log gets failed and recovered name resolutions, and endpoints and backends
	// that are not used.
	Log *slog.Logger
	// Limits of each pool; the zero value means [DefaultLimits].
	Limits Limits
}

// Backends are all backends of the process by name. Its methods may be called
// from any goroutine, but a loop has no need of them: it holds [Backend]s.
type Backends struct {
	workers int
	limits  Limits
	names   *names
	reach   *reach
	log     *slog.Logger

	mu    sync.Mutex
	pools []*Pool
	// present are the backends of the configuration in force. absent are those
	// that somebody holds but that the configuration does not have (yet, or any
	// more): the same name must lead to the same Backend again.
	present map[string]*Backend
	absent  map[string]weak.Pointer[Backend]
	// sweepAt is the size of absent at which entries that nobody holds are
	// dropped; it doubles with what remains, which makes a sweep cheap.
	sweepAt     int
	authorities authorities
}

// NewBackends makes an empty set. Close ends it.
func NewBackends(o Options) *Backends {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	return &Backends{
		workers: o.Workers,
		limits:  o.Limits,
		names:   newNames(o.Resolver, o.Log),
		reach:   newReach(o.Own),
		log:     o.Log,
		present: map[string]*Backend{},
		absent:  map[string]weak.Pointer[Backend]{},
		sweepAt: minSweep,
	}
}

const minSweep = 64

// Backend returns the backend of that name, whether or not the configuration
// has it already: without endpoints it answers [ErrNoEndpoints]. The same name
// gives the same Backend for as long as anybody holds it.
func (bs *Backends) Backend(name string) *Backend {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.handle(name)
}

func (bs *Backends) handle(name string) *Backend {
	if b, ok := bs.present[name]; ok {
		return b
	}
	if b := bs.absent[name].Value(); b != nil {
		return b
	}
	b := newBackend(name, bs.workers)
	bs.keepAbsent(b)
	return b
}

func (bs *Backends) keepAbsent(b *Backend) {
	bs.absent[b.name] = weak.Make(b)
	if len(bs.absent) < bs.sweepAt {
		return
	}
	for name, p := range bs.absent {
		if p.Value() == nil {
			delete(bs.absent, name)
		}
	}
	bs.sweepAt = max(minSweep, 2*len(bs.absent))
}

// All returns the backends of the configuration in force, in no order.
func (bs *Backends) All() []*Backend {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	all := make([]*Backend, 0, len(bs.present))
	for _, b := range bs.present {
		all = append(all, b)
	}
	return all
}

// Apply puts the backends of a delta in force. A removed backend goes on
// serving the requests of rules that still hold it, but pools nothing any more.
func (bs *Backends) Apply(d *config.Delta) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	var gone []*Endpoint
	set := make(map[string]bool, len(d.Backends))
	for _, c := range d.Backends {
		set[c.Name] = true
		gone = append(gone, bs.set(c)...)
	}
	for _, ref := range d.Removed {
		if ref.Kind == config.KindBackend && !set[ref.Name] {
			gone = append(gone, bs.remove(ref.Name)...)
		}
	}
	if d.Reset {
		for name := range bs.present {
			if !set[name] {
				gone = append(gone, bs.remove(name)...)
			}
		}
	}
	bs.retire(gone)
}

func (bs *Backends) set(c *config.Backend) (gone []*Endpoint) {
	b := bs.handle(c.Name)
	delete(bs.absent, c.Name)
	bs.present[c.Name] = b
	return b.set(c, bs)
}

func (bs *Backends) remove(name string) (gone []*Endpoint) {
	b, ok := bs.present[name]
	if !ok {
		return nil
	}
	delete(bs.present, name)
	bs.keepAbsent(b)
	return b.Endpoints()
}

// retire ends what is kept for endpoints that the configuration no longer has.
// The mark comes first: from then on no pool takes a connection back.
func (bs *Backends) retire(gone []*Endpoint) {
	if len(gone) == 0 {
		return
	}
	for _, e := range gone {
		e.gone.Store(true)
		if e.name != nil {
			bs.names.release(e.name)
		}
	}
	for _, p := range bs.pools {
		p.loop.Post(func() { p.forget(gone) })
	}
}

// NewPool makes the pool of the next worker; there are as many as
// [Options.Workers]. The pool belongs to l.
func (bs *Backends) NewPool(l loop.Loop) *Pool {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	p := newPool(l, len(bs.pools), bs.limits)
	bs.pools = append(bs.pools, p)
	return p
}

// Close ends the resolution of names and waits until it has ended.
func (bs *Backends) Close() {
	bs.names.close()
}
