// Package control turns what a source says of objects into what the data plane
// serves, and tells what became of each object. Everything passes through one
// loop: objects, snapshot, translation, data plane, statuses.
package control

import (
	"context"
	"log/slog"
	"maps"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// Update is what a source has to say: changed objects, and what is wrong with
// those that it refused.
type Update struct {
	Changes []snapshot.Change
	// Diagnostics are all that are in force at the source, not only the new ones.
	Diagnostics []diagnostic.Diagnostic
}

// Source is where objects come from.
type Source interface {
	// Run calls update with all objects, then with each change, one call after
	// the other, until ctx ends. It logs what it refuses. A source that cannot
	// go on returns why.
	Run(ctx context.Context, update func(Update)) error
}

// DataPlane serves configurations.
type DataPlane interface {
	// Apply puts the delta into force and says what is served then.
	Apply(*config.Delta) config.Report
}

// Options are what a Control works with.
type Options struct {
	Translate translate.Options
	DataPlane DataPlane
	Log       *slog.Logger
	// Locate adds to a diagnostic about an object where that object was
	// written. It may be nil.
	Locate func(diagnostic.Diagnostic) diagnostic.Diagnostic
	// Applied is called after each change, with the state that is then in
	// force. It may be nil.
	Applied func(*State)
}

// Control is the control half of a gateway. Run has one goroutine; State may be
// called from any.
type Control struct {
	options    Options
	translator *translate.Translator
	state      atomic.Pointer[State]
}

// New makes a Control that has seen no object.
func New(options Options) *Control {
	c := &Control{options: options, translator: translate.New(options.Translate)}
	c.state.Store(newState(options.Locate, options.Translate.ControllerName))
	return c
}

// State is what is in force now. It is never nil.
func (c *Control) State() *State { return c.state.Load() }

// Run follows the source until ctx ends or the source fails.
func (c *Control) Run(ctx context.Context, source Source) error {
	return source.Run(ctx, c.update)
}

// update takes a change through the whole way. The data plane's loops share the
// processors with it and answer requests meanwhile, so it offers its own to them
// between the steps.
func (c *Control) update(u Update) {
	start := time.Now()
	before := c.State()
	next := before.with(u)
	runtime.Gosched()

	translated := c.translator.Update(next.Snapshot, keys(u.Changes))
	runtime.Gosched()
	if !translated.Delta.Empty() {
		next.Report = c.options.DataPlane.Apply(translated.Delta)
		runtime.Gosched()
	}
	served := c.translator.Served(next.Report)
	next.View = served.View
	changed := translated.Statuses
	maps.Copy(changed, served.Statuses)
	next.stamp(changed, start)
	c.state.Store(next)

	found := append(translated.Found, served.Found...)
	c.logFindings(next, found)
	c.logConditions(before, next, changed, found)
	c.logConfiguration(translated.Delta, time.Since(start))
	if c.options.Applied != nil {
		c.options.Applied(next)
	}
}

func (c *Control) logConfiguration(d *config.Delta, took time.Duration) {
	if d.Empty() {
		return
	}
	c.options.Log.Info("configuration in force", "version", d.Version,
		"listeners", len(d.Listeners), "routes", len(d.Routes), "backends", len(d.Backends),
		"removed", len(d.Removed), "took", took.Round(time.Microsecond))
}

func keys(changes []snapshot.Change) []snapshot.Key {
	all := make([]snapshot.Key, len(changes))
	for i, change := range changes {
		all[i] = change.Key
	}
	return all
}
