package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// How long answers hold, whatever their TTL says. A failed resolution is
// repeated after failureTTL.
const (
	minTTL     = time.Second
	maxTTL     = 5 * time.Minute
	failureTTL = 5 * time.Second
)

// errResolve marks an error as one of name resolution.
var errResolve = errors.New("resolving the name failed")

// names keeps the addresses of domain names fresh, each on a goroutine of its
// own: loops only read what is there.
type names struct {
	resolver Resolver
	log      *slog.Logger
	running  sync.WaitGroup

	mu     sync.Mutex
	byHost map[string]*name
}

func newNames(r Resolver, log *slog.Logger) *names {
	return &names{resolver: r, log: log, byHost: map[string]*name{}}
}

// acquire returns the name of host, for all its users the same. Each user
// releases it once.
func (ns *names) acquire(host string) *name {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.byHost[host]
	if n == nil {
		ctx, stop := context.WithCancel(context.Background())
		n = &name{host: host, stop: stop}
		ns.byHost[host] = n
		ns.running.Go(func() { ns.refresh(ctx, n) })
	}
	n.users++
	return n
}

func (ns *names) release(n *name) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n.users--
	if n.users == 0 {
		delete(ns.byHost, n.host)
		n.stop()
	}
}

func (ns *names) close() {
	ns.mu.Lock()
	for _, n := range ns.byHost {
		n.stop()
	}
	ns.mu.Unlock()
	ns.running.Wait()
}

// refresh resolves n again and again until ctx ends.
func (ns *names) refresh(ctx context.Context, n *name) {
	for {
		answer, err := ns.resolver.Resolve(ctx, n.host)
		if ctx.Err() != nil {
			err = ctx.Err()
		} else {
			ns.report(n, err)
		}
		n.publish(answer, err)
		ttl := failureTTL
		if err == nil {
			ttl = min(max(answer.TTL, minTTL), maxTTL)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(ttl):
		}
	}
}

// report logs that resolution begins to fail and that it works again.
func (ns *names) report(n *name, err error) {
	before := n.current.Load()
	switch {
	case err != nil && (before == nil || before.err == nil):
		kept := 0
		if before != nil {
			kept = len(before.addrs)
		}
		ns.log.Warn("cannot resolve the name of an endpoint; its last known addresses stay in use",
			"host", n.host, "error", err, "addresses", kept)
	case err == nil && before != nil && before.err != nil:
		ns.log.Info("the name of an endpoint resolves again", "host", n.host)
	}
}

// name is a domain name and its addresses.
type name struct {
	host string
	stop context.CancelFunc
	// users are counted under the lock of names.
	users int
	// current is nil before the first answer.
	current atomic.Pointer[resolution]

	mu sync.Mutex
	// waiting are woken, on their loops, at the first answer.
	waiting map[loop.Waiter]loop.Loop
}

// resolution is what is known about a name: the last good answer, and the
// error of the last attempt.
type resolution struct {
	addrs []netip.Addr
	err   error
}

func (n *name) publish(answer Answer, err error) {
	next := &resolution{addrs: answer.Addrs, err: err}
	if before := n.current.Load(); err != nil && before != nil {
		next.addrs = before.addrs
	}
	n.mu.Lock()
	n.current.Store(next)
	waiting := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	for w, l := range waiting {
		l.Post(w.Wake)
	}
}

// has reports whether addr is one of the name's present addresses.
func (n *name) has(addr netip.Addr) bool {
	r := n.current.Load()
	return r != nil && slices.Contains(r.addrs, addr)
}

// await returns the addresses, if need be when the first answer comes.
func (n *name) await(l loop.Loop, deadline time.Time) ([]netip.Addr, error) {
	if n.current.Load() == nil {
		if err := n.awaitFirst(l, deadline); err != nil {
			return nil, fmt.Errorf("%w: %s: no answer yet: %w", errResolve, n.host, err)
		}
	}
	r := n.current.Load()
	if len(r.addrs) == 0 {
		return nil, fmt.Errorf("%w: %w", errResolve, r.err)
	}
	return r.addrs, nil
}

// awaitFirst waits for the first answer. Whoever gives up is forgotten: that
// answer may take minutes.
func (n *name) awaitFirst(l loop.Loop, deadline time.Time) error {
	w := l.NewWaiter()
	n.enlist(w, l)
	defer n.delist(w)
	for n.current.Load() == nil {
		if err := w.Wait(deadline); err != nil {
			return err
		}
	}
	return nil
}

func (n *name) enlist(w loop.Waiter, l loop.Loop) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting == nil {
		n.waiting = make(map[loop.Waiter]loop.Loop)
	}
	n.waiting[w] = l
}

func (n *name) delist(w loop.Waiter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, w)
}
