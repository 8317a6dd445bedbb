// Package engine is the data plane as control sees it: workers, their
// listening sockets, and the configuration that they serve. Apply compiles a
// change, swaps one pointer and drains what is gone.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/route"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Options of an Engine. The zero value serves on this machine's network with
// the fastest loops that it has.
type Options struct {
	// Portable asks for the loops that run everywhere.
	Portable bool
	// Workers is the number of loops; zero means one for each processor.
	Workers int
	// Network is where portable loops get their connections; nil is the machine's.
	Network loop.Network
	// Resolver looks names of endpoints up; nil is the system's.
	Resolver upstream.Resolver
	// Limits bounds what clients and backends may cost; nil means proxy.DefaultLimits.
	Limits    *proxy.Limits
	AccessLog *observe.AccessLog
	// Metrics counts; it is made for Workers workers.
	Metrics *observe.Metrics
	// Trusted are the addresses of proxies whose X-Forwarded fields are believed.
	Trusted []netip.Prefix
	Log     *slog.Logger
}

// Workers returns the number of workers that o stands for.
func (o *Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Engine serves configurations. Its methods may be called from any goroutine.
type Engine struct {
	compiler
	shared  proxy.Shared
	workers []*proxy.Worker
	running sync.WaitGroup

	mu        sync.Mutex
	listeners map[string]*config.Listener
	sockets   map[netip.AddrPort]*socket
	closed    bool
}

// New starts the workers. They serve nothing until the first Apply.
func New(o Options) (*Engine, error) {
	n := o.workers()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resolver == nil {
		o.Resolver = upstream.NewSystemResolver()
	}
	if o.Metrics == nil {
		o.Metrics = observe.NewMetrics(n, o.AccessLog)
	}
	if o.Limits == nil {
		o.Limits = &proxy.DefaultLimits
	}
	e := &Engine{
		compiler: compiler{
			backends: upstream.NewBackends(upstream.Options{Workers: n, Resolver: o.Resolver, Log: o.Log}),
			metrics:  o.Metrics,
			workers:  n,
		},
		listeners: make(map[string]*config.Listener),
		sockets:   make(map[netip.AddrPort]*socket),
	}
	e.shared.Limits, e.shared.AccessLog, e.shared.Metrics = *o.Limits, o.AccessLog, o.Metrics
	e.shared.Log, e.shared.Trusted = o.Log, o.Trusted
	e.shared.State.Store(&proxy.State{})
	loops, err := newLoops(n, &o)
	if err != nil {
		return nil, fmt.Errorf("starting %d workers: %w", n, err)
	}
	for i, l := range loops {
		e.workers = append(e.workers, proxy.NewWorker(i, &e.shared, l, e.backends.NewPool(l)))
	}
	for _, l := range loops {
		e.running.Go(func() {
			if err := l.Run(); err != nil {
				o.Log.Error("a worker ended", "error", err)
			}
		})
	}
	return e, nil
}

// Apply puts a change in force and reports what is served then. Requests that
// are under way keep the configuration that they began with; each later one,
// also on a connection that is open already, sees the new one.
func (e *Engine) Apply(d *config.Delta) config.Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.shared.State.Load()
	if e.closed {
		return e.report(before.Version)
	}
	e.backends.Apply(d)
	table, err := before.Table.Apply(d, e.action)
	if err != nil {
		e.shared.Log.Error("the configuration was not applied", "version", d.Version, "error", err)
		return e.report(before.Version)
	}
	e.keepListeners(d)
	e.shared.State.Store(&proxy.State{Version: d.Version, Table: table})
	e.dropMetrics(d)
	e.listen()
	e.shared.Metrics.ConfigApplied(d.Version, time.Now())
	return e.report(d.Version)
}

// Version is that of the configuration in force, 0 before the first.
func (e *Engine) Version() uint64 { return e.shared.State.Load().Version }

// Table is the router's table in force; explanations ask it.
func (e *Engine) Table() *route.Table[*proxy.Action] { return e.shared.State.Load().Table }

// keepListeners brings the set of listeners up to date.
func (e *Engine) keepListeners(d *config.Delta) {
	if d.Reset {
		clear(e.listeners)
	}
	for _, ref := range d.Removed {
		if ref.Kind == config.KindListener {
			delete(e.listeners, ref.Name)
		}
	}
	for _, l := range d.Listeners {
		e.listeners[l.Name] = l
	}
}

// report says which listeners are served.
func (e *Engine) report(version uint64) config.Report {
	r := config.Report{Version: version, Listeners: make(map[string]error, len(e.listeners))}
	for name, l := range e.listeners {
		var errs []error
		for _, bind := range binds(l) {
			if s := e.sockets[bind]; s != nil && s.err != nil {
				errs = append(errs, s.err)
			}
		}
		r.Listeners[name] = errors.Join(errs...)
	}
	return r
}

// Shutdown drains and ends the engine: connections are accepted for minimum
// more, so that whoever sends them has the time to learn of it; then those in
// flight may end until limit, counted from the call; what is left is cut. When
// ctx ends, so does the waiting.
func (e *Engine) Shutdown(ctx context.Context, minimum, limit time.Duration) {
	cut, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	wait(cut, minimum)
	e.mu.Lock()
	e.closed = true
	for bind, s := range e.sockets {
		e.closeSocket(bind, s)
	}
	e.mu.Unlock()
	e.onEach(func(w *proxy.Worker) { w.Drain() })
	for e.Connections() > 0 && cut.Err() == nil {
		wait(cut, 20*time.Millisecond)
	}
	for _, w := range e.workers {
		w.Loop.Stop()
	}
	e.running.Wait()
	e.backends.Close()
}

// Connections is the number of client connections.
func (e *Engine) Connections() int {
	total := 0
	for _, w := range e.workers {
		e.on(w, func() { total += w.Active() })
	}
	return total
}

// on runs fn on the worker's loop and waits for its end.
func (e *Engine) on(w *proxy.Worker, fn func()) {
	done := make(chan struct{})
	if w.Loop.Post(func() { fn(); close(done) }) {
		<-done
	}
}

// onEach runs fn for each worker, one after the other.
func (e *Engine) onEach(fn func(*proxy.Worker)) {
	for _, w := range e.workers {
		e.on(w, func() { fn(w) })
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// panicked logs the panic of a handler; only its connection is lost.
func (o *Options) panicked(value any, stack []byte) {
	o.Log.Error("a handler panicked; its connection was closed", "panic", value, "stack", string(stack))
}

// acceptFailed logs that connections wait in the queue, most often for want of
// file descriptors.
func (o *Options) acceptFailed(addr netip.AddrPort, err error) {
	o.Log.Warn("accepting connections failed and will be tried again", "address", addr, "error", err)
}
