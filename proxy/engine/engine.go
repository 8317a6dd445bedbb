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
	// Own are addresses of the data plane and its node, which restricted
	// backends must not reach.
	Own []netip.Addr
	// Limits bounds what clients and backends may cost; nil means proxy.DefaultLimits.
	Limits    *proxy.Limits
	AccessLog *observe.AccessLog
	// Metrics counts; it is made for Workers workers.
	Metrics *observe.Metrics
	// Trusted are the addresses of proxies whose X-Forwarded fields are believed.
	Trusted []netip.Prefix
	// Memory is looked at four times a second; nil asks the Go runtime.
	Memory Memory
	Log    *slog.Logger
}

// withDefaults fills what o leaves open.
func (o Options) withDefaults() *Options {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resolver == nil {
		o.Resolver = upstream.NewSystemResolver()
	}
	if o.Metrics == nil {
		o.Metrics = observe.NewMetrics(o.Workers, o.AccessLog)
	}
	if o.Limits == nil {
		o.Limits = &proxy.DefaultLimits
	}
	if o.Memory == nil {
		o.Memory = goMemory()
	}
	return &o
}

// Engine serves configurations. Its methods may be called from any goroutine.
type Engine struct {
	compiler
	shared  proxy.Shared
	workers []*proxy.Worker
	running sync.WaitGroup
	end     func() // of what runs beside the workers; more than once is once

	mu        sync.Mutex
	listeners map[string]*listener
	keyring   keyring
	listening proxy.State      // what states say of listeners; its maps are replaced, never changed
	places    map[place]string // the names of the listeners that have them
	sockets   map[netip.AddrPort]*socket
	touched   map[*socket]bool // those that listen is to look at, or to try again
	report    config.Report    // Listeners is nil where it has to be made anew
	closed    bool
	quic      quic
}

// New starts the workers. They serve nothing until the first Apply.
func New(options Options) (*Engine, error) {
	o := options.withDefaults()
	loops, err := newLoops(o.Workers, o)
	if err != nil {
		return nil, fmt.Errorf("starting %d workers: %w", o.Workers, err)
	}
	e := &Engine{
		compiler: compiler{
			backends: upstream.NewBackends(upstream.Options{Workers: o.Workers, Resolver: o.Resolver, Own: o.Own, Log: o.Log}),
			metrics:  o.Metrics,
			workers:  o.Workers,
			routes:   make(map[string]bool),
		},
		listeners: make(map[string]*listener),
		keyring:   newKeyring(o),
		places:    make(map[place]string),
		sockets:   make(map[netip.AddrPort]*socket),
		touched:   make(map[*socket]bool),
		quic:      quic{off: o.Network != nil},
	}
	e.shared.Limits, e.shared.AccessLog, e.shared.Metrics = *o.Limits, o.AccessLog, o.Metrics
	e.shared.Log, e.shared.Defaults = o.Log, proxy.Settings{Limits: &e.shared.Limits, Trusted: o.Trusted}
	e.shared.State.Store(&proxy.State{})
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
	ctx, end := context.WithCancel(context.Background())
	e.end = end
	e.watchMemory(ctx, o.Memory)
	e.running.Go(func() { e.keyring.rotate(ctx) })
	e.running.Go(func() { e.keyring.stapler.run(ctx) })
	return e, nil
}

// Apply puts a change in force and reports what is served then. Requests that
// are under way keep the configuration that they began with; each later one,
// also on a connection that is open already, sees the new one. A listener that
// cannot be served hurts no other; the report, which is not to be changed, says
// why, and the next Apply tries its address again.
func (e *Engine) Apply(d *config.Delta) config.Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.report
	}
	gaining, rest := inTwoSteps(d)
	e.backends.Apply(gaining)
	e.dropMetrics(d)
	admitted := e.admit(d)
	if admitted != d { // the listeners have changed
		e.listening = e.describe()
	}
	table, err := e.Table().Apply(admitted, e.action)
	if err != nil {
		e.shared.Log.Error("the configuration was not applied", "version", d.Version, "error", err)
		return e.report
	}
	e.leave()
	next := e.listening
	next.Version, next.Table = d.Version, table
	e.shared.State.Store(&next)
	if admitted != d {
		e.recheck()
	}
	if len(rest.Backends) > 0 {
		e.onEach(func(*proxy.Worker) {}) // requests that found their rule have found their endpoint now
	}
	e.backends.Apply(rest)
	e.listen()
	if d.Version != e.report.Version {
		e.shared.Metrics.ConfigApplied(d.Version, time.Now())
	}
	e.report.Version = d.Version
	if e.report.Listeners == nil {
		e.report.Listeners = e.failures()
	}
	return e.report
}

// inTwoSteps parts the backends of a delta. Those that have endpoints are put in
// force before the routes that may lead to them, the rest after the routes that
// have left it.
func inTwoSteps(d *config.Delta) (gaining, rest *config.Delta) {
	gaining, rest = &config.Delta{}, &config.Delta{Reset: d.Reset, Removed: d.Removed}
	for _, b := range d.Backends {
		if len(b.Endpoints) > 0 {
			gaining.Backends = append(gaining.Backends, b)
		} else {
			rest.Backends = append(rest.Backends, b)
		}
	}
	if d.Reset { // removes what it does not name, so it names all
		rest.Backends = d.Backends
	}
	return gaining, rest
}

// Version is that of the configuration in force, 0 before the first.
func (e *Engine) Version() uint64 { return e.shared.State.Load().Version }

// Table is the router's table in force; explanations ask it.
func (e *Engine) Table() *route.Table[*proxy.Action] { return e.shared.State.Load().Table }

// failures are the listeners that are not served, or not in HTTP/3, with the
// reason; others may still look at what the last call returned.
func (e *Engine) failures() map[string]error {
	failed := make(map[string]error)
	for name, l := range e.listeners {
		if l.refused != nil {
			failed[name] = l.refused
		}
	}
	for s := range e.touched { // those that failed
		for name := range s.listeners {
			if s.err != nil {
				failed[name] = errors.Join(failed[name], s.err)
			}
		}
	}
	for s := range e.touched {
		for name := range s.listeners {
			if s.quicErr != nil && failed[name] == nil && e.speaksQUIC(name) {
				failed[name] = &config.HTTP3Error{Err: s.quicErr}
			}
		}
	}
	return failed
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
		delete(e.sockets, bind)
		e.closeSocket(s)
	}
	e.mu.Unlock()
	e.onEach(func(w *proxy.Worker) { w.Drain() })
	for e.Connections() > 0 && cut.Err() == nil {
		wait(cut, 20*time.Millisecond)
	}
	e.closeQUIC()
	for _, w := range e.workers {
		w.Loop.Stop()
	}
	e.end()
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
