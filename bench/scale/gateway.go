package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
	"github.com/sluicegateway/sluice/proxy/engine"
)

const controllerName = "sluice.dev/gateway-controller"

// gateway is both halves of Sluice, wired like the program does it.
type gateway struct {
	engine *engine.Engine
	update func(control.Update)
	report config.Report // of the last change
	served time.Time     // when the data plane had taken it

	end     context.CancelFunc
	running sync.WaitGroup
}

func startGateway(ctx context.Context) (*gateway, error) {
	debug.SetGCPercent(25) // as cli/garbage.go has it for large configurations
	e, err := engine.New(engine.Options{})
	if err != nil {
		return nil, err
	}
	g := &gateway{engine: e}
	c := control.New(control.Options{
		Translate: translate.Options{ControllerName: controllerName},
		DataPlane: g,
		Log:       slog.New(slog.DiscardHandler),
	})
	ctx, g.end = context.WithCancel(ctx)
	ready := make(chan struct{})
	g.running.Go(func() {
		_ = c.Run(ctx, source(func(ctx context.Context, update func(control.Update)) error {
			g.update = update
			close(ready)
			<-ctx.Done()
			return ctx.Err()
		}))
	})
	<-ready
	return g, nil
}

// source is a function that is a control.Source.
type source func(context.Context, func(control.Update)) error

func (s source) Run(ctx context.Context, update func(control.Update)) error { return s(ctx, update) }

// Apply implements control.DataPlane.
func (g *gateway) Apply(d *config.Delta) config.Report {
	g.report = g.engine.Apply(d)
	g.served = time.Now()
	return g.report
}

// change is what one update took.
type change struct {
	served time.Duration // until the data plane had taken it
	done   time.Duration // until the statuses were there too
	cpu    time.Duration
}

var errNotApplied = errors.New("the data plane was told nothing")

// apply makes changes, which must reach the data plane.
func (g *gateway) apply(changes []snapshot.Change) (change, error) {
	cpu, start, version := processor(), time.Now(), g.report.Version
	g.update(control.Update{Changes: changes})
	taken := change{served: g.served.Sub(start), done: time.Since(start), cpu: processor() - cpu}
	if g.report.Version == version {
		return taken, errNotApplied
	}
	for name, err := range g.report.Listeners {
		if err != nil {
			return taken, errors.New("listener " + name + ": " + err.Error())
		}
	}
	return taken, nil
}

// settle gives memory back as the program does a while after a change.
func settle() {
	runtime.GC()
	debug.FreeOSMemory()
}

func (g *gateway) stop() {
	g.end()
	g.running.Wait()
	g.engine.Shutdown(context.Background(), 0, 0)
}
