package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// attached attaches many routes to one Gateway, and removes them: how soon is
// status.listeners[].attachedRoutes right, after how many writes, and was it ever
// wrong meanwhile?
func attached(ctx context.Context, b *bench) error {
	if _, err := b.gateway(ctx, "gateway"); err != nil {
		return err
	}
	counts, stop, err := b.watchAttached(ctx, "gateway")
	if err != nil {
		return err
	}
	defer stop()
	routes := b.gateways.HTTPRoutes(b.namespace)
	up, err := b.settle(ctx, counts, 0, b.attach, func(i int) error {
		_, err := routes.Create(ctx, b.route(fmt.Sprintf("route-%d", i), "gateway", fmt.Sprintf("route-%d.example", i), "none"), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	down, err := b.settle(ctx, counts, b.attach, 0, func(i int) error {
		return routes.Delete(ctx, fmt.Sprintf("route-%d", i), metav1.DeleteOptions{})
	})
	if err != nil {
		return err
	}
	r, relax := &b.report, time.Duration(b.relax)
	r.found(fmt.Sprintf("time from the first of %d creates to the last one's answer", b.attach), up.work)
	atMost(r, "time from the last create's answer to the right count", up.after, relax*1500*time.Millisecond)
	r.found("time from the first create to the right count", up.work+up.after)
	atMost(r, "writes of the Gateway's status while routes came", up.writes, 49)
	r.found("time from the last delete's answer to no route", down.after)
	atMost(r, "writes of the Gateway's status while routes went", down.writes, 49)
	atMost(r, "wrong counts", up.wrong+down.wrong, 0)
	return nil
}

// each runs fn for 0 to n-1, 32 at a time.
func each(n int, fn func(int) error) error {
	var group errgroup.Group
	group.SetLimit(32)
	for i := range n {
		group.Go(func() error { return fn(i) })
	}
	return group.Wait()
}

// seen is a count of attached routes and when it was seen.
type seen struct {
	count int
	at    time.Time
}

// watchAttached tells each change of the Gateway.
func (b *bench) watchAttached(ctx context.Context, name string) (<-chan seen, func(), error) {
	w, err := b.gateways.Gateways(b.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		return nil, nil, err
	}
	counts := make(chan seen)
	go func() {
		defer close(counts)
		for event := range w.ResultChan() {
			if g, ok := event.Object.(*gatewayv1.Gateway); ok && len(g.Status.Listeners) == 1 {
				select {
				case counts <- seen{int(g.Status.Listeners[0].AttachedRoutes), time.Now()}:
				case <-ctx.Done():
				}
			}
		}
	}()
	<-counts // the Gateway as it is
	return counts, w.Stop, nil
}

// settled is how a count became right.
type settled struct {
	work, after   time.Duration // all requests, and from the last one's answer to the right count
	writes, wrong int
}

// settle sends a request for each route, which brings the count from one number to
// another, and waits until it is as wanted and stays so for a second. A count is
// wrong if it goes back, or is ahead of the requests.
func (b *bench) settle(ctx context.Context, counts <-chan seen, from, to int, request func(int) error) (settled, error) {
	var begun atomic.Int64
	var s settled
	ended := make(chan error, 1)
	start := time.Now()
	go func() {
		err := each(b.attach, func(i int) error { begun.Add(1); return request(i) })
		s.work = rounded(time.Since(start))
		ended <- err
	}()
	quiet := time.NewTimer(limit)
	defer quiet.Stop()
	done, last := false, seen{from, start}
	for {
		select {
		case err := <-ended:
			if err != nil {
				return s, err
			}
			done = true
			quiet.Reset(time.Minute)
		case c, ok := <-counts:
			if !ok {
				return s, errors.New("the watch of the Gateway ended")
			}
			s.writes++
			if wrongCount(from, to, last.count, c.count, int(begun.Load())) {
				s.wrong++
			}
			last = c
		case <-quiet.C:
			if last.count != to {
				return s, fmt.Errorf("%d routes are counted, want %d", last.count, to)
			}
			s.after = max(0, rounded(last.at.Sub(start)-s.work))
			return s, nil
		case <-ctx.Done():
			return s, ctx.Err()
		}
		if done && last.count == to {
			quiet.Reset(time.Second)
		}
	}
}

func wrongCount(from, to, last, next, begun int) bool {
	if from < to {
		return next < last || next > from+begun
	}
	return next > last || next < from-begun
}
