package kube

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// The times of an election. Who leads stops before its lease can be taken: its
// deadline counts from before the request of the last renewal, the lease by others
// from when they saw it.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	renewEvery    = 2 * time.Second
	acquireEvery  = time.Second
	// attempt bounds one attempt to get or renew the lease, which is two requests.
	attempt = 4 * time.Second
)

// ElectionOptions are what an Election works with.
type ElectionOptions struct {
	Client *Client
	// Namespace and Name are those of the Lease; Identity is this replica's.
	Namespace, Name, Identity string
	Log                       *slog.Logger
}

// Election makes one replica the leader, by a Lease. Clocks need not agree: a
// replica compares only times that it has measured itself. It is not client-go's,
// whose package links the clients of all API groups.
//
// Who removes the Lease, or writes another holder into it, takes the lead away from
// a replica that learns of it with its next renewal only.
type Election struct {
	options ElectionOptions
	key     snapshot.Key
	seen    *coordinationv1.Lease // kept when the Lease is gone
	at      time.Time             // when seen was seen to change
	refused int                   // how often in a row the API server has refused

	complaints complaints
}

// NewElection makes an Election in which nobody takes part yet.
func NewElection(options ElectionOptions) *Election {
	return &Election{options: options, complaints: complaints{log: options.Log}, key: snapshot.Key{Kind: snapshot.KindLease, Namespace: options.Namespace, Name: options.Name}}
}

// Run takes part until ctx ends. It calls lead with true when this replica leads,
// and with false when it does no more, which is before another one can: lead must
// return at once.
func (e *Election) Run(ctx context.Context, lead func(bool)) {
	for ctx.Err() == nil {
		if started := time.Now(); e.try(ctx, attempt) {
			e.options.Log.Info("this replica leads and writes statuses", "lease", e.key.String(), "identity", e.options.Identity)
			lead(true)
			e.renew(ctx, started)
			lead(false)
			e.options.Log.Info("this replica leads no more", "lease", e.key.String(), "identity", e.options.Identity)
		}
		sleep(ctx, jittered(acquireEvery))
	}
	e.release()
}

// renew holds the lease until ctx ends, it is lost, or it could not be renewed in time.
func (e *Election) renew(ctx context.Context, renewed time.Time) {
	for e.mine() {
		sleep(ctx, min(jittered(renewEvery), renewDeadline-time.Since(renewed)))
		started := time.Now()
		rest := renewDeadline - started.Sub(renewed)
		if ctx.Err() != nil || rest <= 0 {
			return
		}
		if e.try(ctx, min(rest, attempt)) {
			renewed = started
		}
	}
}

// try acquires or renews the lease.
func (e *Election) try(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	lease, err := e.get(ctx)
	switch {
	case err != nil || !e.free():
	case lease == nil:
		_, err = e.see(e.options.Client.Create(ctx, e.signed(&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: e.key.Namespace, Name: e.key.Name},
		})))
	default:
		_, err = e.see(e.options.Client.Update(ctx, e.signed(lease.DeepCopy())))
	}
	if err != nil {
		e.failed(err)
		return false
	}
	e.refused = 0
	e.complaints.settle(e.key.String())
	return e.mine()
}

// failed logs what somebody has to mend; all else is tried again soon. An API server
// that has just started may refuse what it will allow when it has read the roles.
func (e *Election) failed(err error) {
	verdict := verdictOn(err)
	if e.refused++; verdict == passing {
		e.refused = 0
	}
	if e.refused < tolerated {
		e.options.Log.Debug("the lease was neither got nor renewed", "lease", e.key.String(), "error", firstLine(err))
		return
	}
	e.complaints.say(e.key.String(), "this replica cannot take part in the election of the leader, who writes statuses",
		"lease", e.key.String(), "error", firstLine(err),
		"fix", "give Sluice's ServiceAccount a role with create, get and update for leases.coordination.k8s.io in its own namespace")
}

// get reads the lease; nil if there is none.
func (e *Election) get(ctx context.Context) (*coordinationv1.Lease, error) {
	object, err := e.options.Client.Get(ctx, e.key)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return e.see(object, err)
}

func (e *Election) see(object snapshot.Object, err error) (*coordinationv1.Lease, error) {
	if err != nil {
		return nil, err
	}
	lease, ok := object.(*coordinationv1.Lease)
	if !ok {
		return nil, errors.New("the API server answered with another kind")
	}
	if e.seen == nil || e.seen.ResourceVersion != lease.ResourceVersion || e.seen.UID != lease.UID {
		e.seen, e.at = lease, time.Now()
	}
	return lease, nil
}

func (e *Election) holder() string {
	if e.seen == nil || e.seen.Spec.HolderIdentity == nil {
		return ""
	}
	return *e.seen.Spec.HolderIdentity
}

func (e *Election) mine() bool { return e.holder() == e.options.Identity }

// free reports whether the lease is ours, nobody's, or has not been renewed for as
// long as its holder promised. A holder whose Lease is gone may still lead.
func (e *Election) free() bool {
	if e.mine() || e.holder() == "" {
		return true
	}
	promised := leaseDuration
	if seconds := e.seen.Spec.LeaseDurationSeconds; seconds != nil {
		promised = time.Duration(*seconds) * time.Second
	}
	return time.Since(e.at) > promised
}

// signed makes the lease ours from now on.
func (e *Election) signed(lease *coordinationv1.Lease) *coordinationv1.Lease {
	now := metav1.NowMicro()
	if before := lease.Spec.HolderIdentity; before == nil || *before != e.options.Identity {
		lease.Spec.AcquireTime = &now
		turns := int32(1)
		if lease.Spec.LeaseTransitions != nil {
			turns += *lease.Spec.LeaseTransitions
		}
		lease.Spec.LeaseTransitions = &turns
	}
	lease.Spec.HolderIdentity = &e.options.Identity
	lease.Spec.LeaseDurationSeconds = new(int32(leaseDuration / time.Second))
	lease.Spec.RenewTime = &now
	return lease
}

// release gives the lease back, so that the next one need not wait for its end. It
// looks first: the end may have come before the answer to a request.
func (e *Election) release() {
	ctx, cancel := context.WithTimeout(context.Background(), renewEvery)
	defer cancel()
	lease, err := e.get(ctx)
	if err == nil && (lease == nil || !e.mine()) {
		return
	}
	if err == nil {
		lease = lease.DeepCopy()
		lease.Spec.HolderIdentity = nil
		_, err = e.options.Client.Update(ctx, lease)
	}
	if err != nil && e.mine() {
		e.options.Log.Warn("the lease was not given back; another replica leads when it ends", "lease", e.key.String(), "error", firstLine(err))
	}
}

// jittered is about as long, so that replicas do not move in step.
func jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5) }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
