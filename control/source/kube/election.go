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

// The times of an election. Who leads stops before its lease can be taken: the
// deadline is counted from the request for the last renewal, the lease by others
// from when they saw it.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	renewEvery    = 2 * time.Second
	acquireEvery  = time.Second
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
type Election struct {
	options ElectionOptions
	key     snapshot.Key
	seen    *coordinationv1.Lease
	at      time.Time // when seen was seen to change
}

// NewElection makes an Election in which nobody takes part yet.
func NewElection(options ElectionOptions) *Election {
	return &Election{options: options, key: snapshot.Key{Kind: snapshot.KindLease, Namespace: options.Namespace, Name: options.Name}}
}

// Run takes part until ctx ends. It calls lead with true when this replica leads,
// and with false when it does no more, which is before another one can.
func (e *Election) Run(ctx context.Context, lead func(bool)) {
	for ctx.Err() == nil {
		if started := time.Now(); e.try(ctx, acquireEvery) {
			e.options.Log.Info("this replica leads and writes statuses", "lease", e.key.String(), "identity", e.options.Identity)
			lead(true)
			e.renew(ctx, started)
			lead(false)
			e.options.Log.Info("this replica leads no more", "lease", e.key.String(), "identity", e.options.Identity)
		}
		if ctx.Err() == nil {
			sleep(ctx, jittered(acquireEvery))
		}
	}
	e.release()
}

// renew holds the lease until ctx ends, it is lost, or it could not be renewed in time.
func (e *Election) renew(ctx context.Context, renewed time.Time) {
	for {
		sleep(ctx, jittered(renewEvery))
		rest := renewDeadline - time.Since(renewed)
		if ctx.Err() != nil || rest <= 0 {
			return
		}
		started := time.Now()
		if e.try(ctx, min(rest, renewEvery*2)) {
			renewed = started
		} else if e.seen != nil && e.holder() != e.options.Identity {
			return
		}
	}
}

// try acquires or renews the lease.
func (e *Election) try(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	lease, err := e.get(ctx)
	if err == nil && lease == nil {
		_, err = e.see(e.options.Client.Create(ctx, e.signed(&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: e.key.Namespace, Name: e.key.Name},
		})))
	} else if err == nil && e.free(lease) {
		_, err = e.see(e.options.Client.Update(ctx, e.signed(lease.DeepCopy())))
	}
	if err != nil {
		e.options.Log.Debug("the lease is not ours", "lease", e.key.String(), "error", err)
		return false
	}
	return e.holder() == e.options.Identity
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

// free reports whether the lease is ours, nobody's, or has not been renewed for as
// long as its holder promised.
func (e *Election) free(lease *coordinationv1.Lease) bool {
	promised := leaseDuration
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
		promised = time.Duration(*seconds) * time.Second
	}
	return e.holder() == e.options.Identity || e.holder() == "" || time.Since(e.at) > promised
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

// release gives the lease back, so that the next one need not wait for its end.
func (e *Election) release() {
	if e.holder() != e.options.Identity {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), renewEvery)
	defer cancel()
	lease := e.seen.DeepCopy()
	lease.Spec.HolderIdentity = new(string)
	if _, err := e.options.Client.Update(ctx, lease); err != nil {
		e.options.Log.Warn("the lease was not given back; another replica leads when it ends", "lease", e.key.String(), "error", err)
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
