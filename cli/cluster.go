package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// cluster is what a replica has to do with the API server: it reads objects, says
// what it serves, and if it leads, it writes statuses and what Gateways need.
type cluster struct {
	client   *kube.Client
	source   *kube.Source
	statuses *kube.StatusWriter
	placer   *kube.Placer
	serving  *kube.ServingWriter
	election *kube.Election
	saved    *savedConfig     // nil without a folder for it
	control  *control.Control // set before anything runs
	leads    atomic.Bool
	read     chan struct{} // closed when all objects have been read
	first    sync.Once
	batches  atomic.Uint64
}

// newClusterGateway makes the gateway of a replica. It does not ask the API server
// for anything yet, which may be away.
func newClusterGateway(o *controllerOptions) (*gateway, error) {
	log := o.newLog()
	client, err := kube.NewClient(o.kubeconfig, "sluice/"+version(), o.translate.ControllerName)
	if err != nil {
		return nil, err
	}
	if err := raiseBinding(); err != nil {
		log.Warn("ports below 1024 may not be had", "error", err)
	}
	c := &cluster{client: client, read: make(chan struct{})}
	c.source = kube.New(kube.Options{Client: client, Namespace: o.namespace, Log: log, Seen: c.seen})
	c.statuses = kube.NewStatusWriter(kube.StatusOptions{
		Client: client, Source: c.source, Controller: o.translate.ControllerName, Log: log,
	})
	c.placer = kube.NewPlacer(kube.PlaceOptions{
		Client: client, Source: c.source, Controller: o.translate.ControllerName, HostNetwork: o.hostNetwork, Log: log, Refused: c.refused,
	})
	c.serving = kube.NewServingWriter(kube.ServingOptions{
		Client: client, Latest: c.source.Latest, Namespace: o.namespace, Pod: o.pod, PodUID: o.podUID, Log: log,
	})
	c.election = kube.NewElection(kube.ElectionOptions{
		Client: client, Namespace: o.namespace, Name: o.lease, Identity: o.pod, Log: log,
	})
	if o.stateDir != "" {
		c.saved = newSavedConfig(o.stateDir, log)
	}
	g, err := newGateway(&o.serveOptions, log, c.origin(o))
	if err != nil {
		return nil, err
	}
	c.control = g.control
	return g, nil
}

// origin is what the gateway does for the cluster.
func (c *cluster) origin(o *controllerOptions) origin {
	from := origin{
		source:  kubeSource{c},
		control: control.Options{Translate: o.translate, Applied: c.applied},
		own:     o.own,
		waiting: c.waiting,
		leading: []func(context.Context){c.runForLead},
		following: []func(context.Context){
			c.statuses.Run, c.placer.Run, c.serving.Run,
		},
		metrics: []prometheus.Collector{clusterMetrics{c}},
	}
	if c.saved != nil {
		from.control.Restored = c.saved.read()
		c.saved.current = func() *config.Delta { return c.control.State().Config() }
		from.following = append(from.following, c.saved.run)
	}
	return from
}

// seen takes that the API server has another version of an object.
func (c *cluster) seen(key snapshot.Key) {
	c.statuses.Seen(key)
	c.placer.Seen(key)
}

// lead takes that this replica has become the leader, or is it no more. What it
// has begun to write is written, or given up, when it returns.
func (c *cluster) lead(leads bool) {
	c.leads.Store(leads)
	c.statuses.Lead(leads)
	c.placer.Lead(leads)
}

// refused takes that the API server did not take what a Gateway needs.
func (c *cluster) refused(gateway snapshot.Key, why string) { c.control.Refused(gateway, why) }

// runForLead takes part in the election once all objects have been read: who knows
// nothing has nothing to write.
func (c *cluster) runForLead(ctx context.Context) {
	select {
	case <-c.read:
		c.election.Run(ctx, c.lead)
	case <-ctx.Done():
	}
}

// applied hands on what a step of the loop has changed. Each replica knows what
// the leader would write, because it may become the leader.
func (c *cluster) applied(s *control.State, changed control.Changed) {
	for _, key := range changed.Statuses {
		c.statuses.Set(key, s.Status(key))
	}
	for _, key := range changed.Wanted {
		c.placer.Set(key, s.View.Wanted(key))
	}
	if !s.Restored() {
		c.serving.Set(s.View.Serving())
		c.first.Do(func() { close(c.read) })
	}
	if c.saved != nil {
		c.saved.note()
	}
}

// waiting says why the replica cannot serve yet. Gateways are programmed once each
// ready replica says that it serves them, so it is not ready before it has said so.
func (c *cluster) waiting() error {
	state := c.control.State()
	switch configured := state.Report.Version > 0; {
	case !configured && !c.source.Reachable():
		return errors.New("no configuration is in force yet: the API server does not answer; the log says why")
	case configured && !state.Restored() && !c.serving.Said():
		return errors.New("the API server does not know yet what this replica serves")
	}
	return nil
}

// kubeSource makes the API server a control.Source.
type kubeSource struct{ c *cluster }

// Run follows the objects.
func (s kubeSource) Run(ctx context.Context, update func(control.Update)) error {
	return s.c.source.Run(ctx, func(u kube.Update) {
		s.c.batches.Add(1)
		update(control.Update(u))
	})
}
