package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluicegateway/sluice/admin"
	"github.com/sluicegateway/sluice/cli/explain"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// origin is where the objects of a gateway come from, and what that place asks of
// it. What is nil is not asked for.
type origin struct {
	source control.Source
	// control has Translate, Locate, Restored and Applied; the gateway sets the rest.
	control control.Options
	// own are the addresses of the gateway and its node.
	own []netip.Addr
	// reload is what SIGHUP asks for.
	reload func()
	// ready is called when the first configuration is in force.
	ready func(s *control.State, admin string)
	// waiting says what has to come before the gateway gets traffic; it may be nil.
	waiting func() error
	// leading runs until a signal asks for the end, following until the minimum
	// of the drain is over, as the control half does.
	leading, following []func(context.Context)
	metrics            []prometheus.Collector
}

// gateway is all parts of a running gateway: the control half, the data plane,
// and the listeners for those who look after it.
type gateway struct {
	options   *serveOptions
	from      origin
	log       *slog.Logger
	accessLog *observe.AccessLog
	metrics   *observe.Metrics
	engine    *engine.Engine
	control   *control.Control
	admin     net.Listener
	health    net.Listener // nil without one
	draining  atomic.Bool
	first     sync.Once   // of the applied configurations
	settled   *time.Timer // runs when nothing has changed for a while
}

// newGateway makes the parts. What can be wrong on the command line fails here,
// before anything is served.
func newGateway(o *serveOptions, log *slog.Logger, from origin) (g *gateway, err error) {
	g = &gateway{options: o, from: from, log: log}
	if err := g.listen(); err != nil {
		return nil, err
	}
	workers := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(workers + 1) // see follow
	if o.accessLog.value != "off" {
		g.accessLog = observe.NewAccessLog(o.stdout, observe.Format(o.accessLog.value), workers)
	}
	g.metrics = observe.NewMetrics(workers, g.accessLog)
	g.engine, err = engine.New(engine.Options{
		Portable:  o.engine.value == "portable",
		Workers:   workers,
		AccessLog: g.accessLog,
		Metrics:   g.metrics,
		Trusted:   o.trustedPrefixes,
		Own:       from.own,
		Log:       g.log,
	})
	if err != nil {
		return nil, errors.Join(err, g.admin.Close(), g.accessLog.Close())
	}
	g.keepSmall()
	half := from.control
	half.DataPlane, half.Log, half.Applied = g.engine, g.log, g.applied
	g.control = control.New(half)
	return g, nil
}

// listen opens the listeners for those who look after the gateway.
func (g *gateway) listen() (err error) {
	if g.admin, err = net.Listen("tcp", g.options.admin); err != nil {
		return fmt.Errorf("admin listener: %w; say another place with --admin", err)
	}
	if address, ok := g.admin.Addr().(*net.TCPAddr); ok && !address.IP.IsLoopback() {
		g.log.Warn("the admin listener has no authentication and is open to other machines", "address", address.String())
	}
	if g.options.health == "" {
		return nil
	}
	if g.health, err = net.Listen("tcp", g.options.health); err != nil {
		return errors.Join(fmt.Errorf("health listener: %w; say another place with --health", err), g.admin.Close())
	}
	return nil
}

// settleTime is how long after a change its leftovers are given back. The source
// has let go of the validator by then.
const settleTime = 5 * time.Second

// keepSmall keeps the memory near what serving needs. Requests leave no garbage;
// changes of the configuration leave much, the first one most of all, and the
// runtime alone would keep room for as much again and return the rest over
// minutes, while a container's limit counts all of it. A GOGC of the environment
// is obeyed.
func (g *gateway) keepSmall() {
	if os.Getenv("GOGC") == "" {
		paceGarbage()
	}
	g.settled = time.AfterFunc(settleTime, debug.FreeOSMemory)
}

// serve runs the parts until a signal or a failure ends them, and drains.
func (g *gateway) serve(ctx context.Context) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if g.from.reload != nil {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)

	ctx, end := context.WithCancel(ctx)
	follow, unfollow := context.WithCancel(ctx)
	lead, resign := context.WithCancel(follow)
	failed := make(chan error, 3)
	var parts sync.WaitGroup
	defer func() {
		resign()
		unfollow()
		end()
		parts.Wait()
		g.settled.Stop()
	}()
	about := g.adminOptions()
	parts.Go(func() { failed <- admin.Serve(ctx, g.admin, admin.Handler(about)) })
	if g.health != nil {
		parts.Go(func() { failed <- admin.Serve(ctx, g.health, admin.HealthHandler(about)) })
	}
	parts.Go(func() { failed <- g.follow(follow) })
	for _, part := range g.from.following {
		parts.Go(func() { part(follow) })
	}
	for _, part := range g.from.leading {
		parts.Go(func() { part(lead) })
	}

	last, err := g.wait(signals, failed)
	if err != nil {
		g.shutdown(ctx, 0, 0)
		return err
	}
	g.draining.Store(true)
	resign()
	g.drain(ctx, signals, last, unfollow)
	return nil
}

// follow runs the control half on a thread of its own, which the kernel runs only
// when no worker wants the processor. For that there is one more thread for Go
// code than there are workers: among as many as workers, the runtime would let a
// long translation keep a worker waiting for 10 ms at a time.
func (g *gateway) follow(ctx context.Context) error {
	runtime.LockOSThread() // and never unlocked, so that the thread ends with this goroutine
	yieldThread()
	return g.control.Run(ctx, g.from.source)
}

var errEnded = errors.New("a part of the gateway has ended by itself")

// wait returns the signal that asks for the end, or the failure of a part.
func (g *gateway) wait(signals <-chan os.Signal, failed <-chan error) (os.Signal, error) {
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				return s, nil
			}
			g.log.Info("reading all files again", "signal", s.String())
			g.from.reload()
		case err := <-failed:
			return nil, cmp.Or(err, errEnded)
		}
	}
}

// drain ends the data plane after the requests in flight, or at once with another
// signal. As long as connections are accepted, changes are followed, so that none
// is led to an endpoint that has gone meanwhile.
func (g *gateway) drain(ctx context.Context, signals <-chan os.Signal, s os.Signal, unfollow func()) {
	minimum := g.options.drainMin
	if s == os.Interrupt {
		// It comes from a person in front of it; no load balancer has to notice.
		minimum = 0
	}
	g.log.Info("draining", "signal", s.String(), "minimum", minimum, "limit", g.options.drainLimit)
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	signal.Ignore(syscall.SIGHUP) // there is nothing to read again for
	accepted := time.AfterFunc(minimum, unfollow)
	defer accepted.Stop()
	go func() {
		select {
		case s := <-signals:
			g.log.Info("ending at once", "signal", s.String())
			cut()
		case <-ctx.Done():
		}
	}()
	g.shutdown(ctx, minimum, g.options.drainLimit)
}

func (g *gateway) shutdown(ctx context.Context, minimum, limit time.Duration) {
	g.engine.Shutdown(ctx, minimum, limit)
	if err := g.accessLog.Close(); err != nil {
		g.log.Error("the access log is not complete", "error", err, "dropped", g.accessLog.Dropped())
	}
}

// applied is called after each change of what is in force.
func (g *gateway) applied(s *control.State, changed control.Changed) {
	g.metrics.Findings(s.Findings())
	g.first.Do(func() {
		g.log.Info("ready", "admin", g.admin.Addr().String())
		if g.from.ready != nil {
			g.from.ready(s, g.admin.Addr().String())
		}
	})
	if g.from.control.Applied != nil {
		g.from.control.Applied(s, changed)
	}
	g.settled.Reset(settleTime)
}

func (g *gateway) adminOptions() admin.Options {
	registry := prometheus.NewRegistry()
	registry.MustRegister(g.from.metrics...)
	registry.MustRegister(g.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return admin.Options{
		Ready:    g.ready,
		Metrics:  registry,
		Status:   func() any { return g.control.State().List() },
		Config:   g.writeConfig,
		Explain:  g.explain,
		Profiles: g.options.pprof,
	}
}

// ready says why the gateway should get no traffic.
func (g *gateway) ready() error {
	if g.draining.Load() {
		return errors.New("draining")
	}
	if g.from.waiting != nil {
		if err := g.from.waiting(); err != nil {
			return err
		}
	}
	if g.control.State().Report.Version == 0 { // it is there once the data plane listens
		return errors.New("no configuration is in force yet")
	}
	return nil
}

func (g *gateway) writeConfig(w io.Writer, asJSON bool) error {
	configuration := g.control.State().Config()
	if asJSON {
		return printAs(w, "json", configuration)
	}
	_, err := io.WriteString(w, configuration.String())
	return err
}

func (g *gateway) explain(body []byte) (any, error) {
	var r explain.Request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the request to explain: %w", err)
	}
	return explain.Explain(g.engine.Table(), g.control.State().Config(), r)
}
