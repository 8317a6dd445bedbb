// Package control turns what a source says of objects into what the data plane
// serves, and tells what became of each object. Everything passes through one
// loop: objects, snapshot, translation, data plane, statuses.
package control

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
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
	// Apply puts the delta into force and says what is served then. It tries
	// listeners again that it could not serve before. A report on an earlier
	// version than the delta's says that the delta was not taken.
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
	// Applied is called after each change, with the state that is then in force
	// and what is new in it. It may be nil, and it must not call the Control.
	Applied func(*State, Changed)
	// Restored is a configuration of an earlier run, which is served until the
	// source has spoken. It may be nil.
	Restored *config.Delta
}

// Changed is what a step of the loop has changed: the objects whose status is a
// new one, and the Gateways that need something else of the cluster.
type Changed struct {
	Statuses, Wanted []snapshot.Key
}

// retryDelay is how long after a listener could not be served it is tried again:
// most often its port belongs to a program that is about to end.
const retryDelay = 2 * time.Second

// Control is the control half of a gateway. Run has one goroutine; State may be
// called from any.
type Control struct {
	options Options
	state   atomic.Pointer[State]

	mu         sync.Mutex // held for a step: an update of the source, or a retry
	translator *translate.Translator
	// behind says that the data plane did not take the last change, so that the
	// next one must be the whole configuration.
	behind bool
	retry  *time.Timer
	ended  bool
}

// New makes a Control that has seen no object.
func New(options Options) *Control {
	if options.Restored != nil {
		options.Translate.Version = options.Restored.Version
	}
	c := &Control{options: options, translator: translate.New(options.Translate)}
	c.state.Store(newState(options.Locate, options.Translate.ControllerName))
	return c
}

// State is what is in force now. It is never nil.
func (c *Control) State() *State { return c.state.Load() }

// Run follows the source until ctx ends or the source fails.
func (c *Control) Run(ctx context.Context, source Source) error {
	defer c.end()
	if c.options.Restored != nil {
		c.restore(c.options.Restored)
	}
	return source.Run(ctx, c.update)
}

// restore serves what an earlier run served. The first change of the source
// replaces it as a whole.
func (c *Control) restore(restored *config.Delta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.State()
	next := *before
	next.restored = restored
	c.behind = true
	if next.Report = c.options.DataPlane.Apply(restored); next.Report.Version < restored.Version {
		c.options.Log.Warn("the configuration of an earlier run cannot be served", "version", restored.Version)
		return
	}
	c.options.Log.Info("serving the configuration of an earlier run until the objects are there", "version", restored.Version)
	c.tell(&next, c.publish(before, &next, translate.Result{}))
}

func (c *Control) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.retry != nil {
		c.retry.Stop()
	}
}

// update takes a change through the whole way.
func (c *Control) update(u Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	before := c.State()
	next := before.with(u)
	translated := c.translator.Update(next.Snapshot, keys(u.Changes))
	delta := translated.Delta
	if c.behind {
		delta = translated.View.Config()
	}
	if !delta.Empty() {
		next.Report = c.options.DataPlane.Apply(delta)
		c.behind = next.Report.Version < delta.Version
	}
	changed := c.publish(before, next, translated)
	c.logConfiguration(delta, time.Since(start))
	c.tell(next, changed)
}

// Refused says that the cluster did not take what the Gateway needs, and why; an
// empty why says that it did. It may be called from any goroutine.
func (c *Control) Refused(gateway snapshot.Key, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.State()
	next := *before
	c.tell(&next, c.publish(before, &next, c.translator.Refused(gateway, why)))
}

// tryAgain has the data plane try the listeners that it could not serve.
func (c *Control) tryAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	before := c.State()
	next := *before
	next.Report = c.options.DataPlane.Apply(&config.Delta{Version: before.Report.Version})
	c.tell(&next, c.publish(before, &next, translate.Result{}))
}

// publish completes the next state by what the data plane reported, and says
// what is new in it.
func (c *Control) publish(before, next *State, translated translate.Result) Changed {
	served := c.translator.Served(next.Report)
	next.View = served.View
	statuses := map[snapshot.Key]status.Status{}
	maps.Copy(statuses, translated.Statuses)
	maps.Copy(statuses, served.Statuses)
	next.stamp(statuses, time.Now())
	c.state.Store(next)

	found := append(translated.Found, served.Found...)
	c.logFindings(next, found)
	c.logConditions(before, next, statuses, found)
	c.planRetry(next.Report)
	return Changed{
		Statuses: slices.SortedFunc(maps.Keys(statuses), snapshot.Key.Compare),
		Wanted:   append(translated.Wanted, served.Wanted...),
	}
}

func (c *Control) tell(s *State, changed Changed) {
	if c.options.Applied != nil {
		c.options.Applied(s, changed)
	}
}

func (c *Control) planRetry(r config.Report) {
	if c.retry != nil {
		c.retry.Stop()
	}
	for _, err := range r.Listeners {
		if err != nil {
			c.retry = time.AfterFunc(retryDelay, c.tryAgain)
			return
		}
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
