package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// attached attaches many routes to one Gateway, and removes them: how soon is
// status.listeners[].attachedRoutes right, after how many writes?
func attached(ctx context.Context, b *bench) error {
	if _, err := b.gateway(ctx, "gateway"); err != nil {
		return err
	}
	counts, stop, err := b.watchAttached(ctx, "gateway")
	if err != nil {
		return err
	}
	defer stop()

	up, err := settle(ctx, counts, b.attach, func() error {
		return b.each(ctx, b.attach, func(i int) error {
			_, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, b.route(fmt.Sprintf("route-%d", i), "gateway", fmt.Sprintf("route-%d.example", i), "none"), metav1.CreateOptions{})
			return err
		})
	})
	if err != nil {
		return err
	}
	down, err := settle(ctx, counts, 0, func() error {
		return b.each(ctx, b.attach, func(i int) error {
			return b.gateways.HTTPRoutes(b.namespace).Delete(ctx, fmt.Sprintf("route-%d", i), metav1.DeleteOptions{})
		})
	})
	if err != nil {
		return err
	}
	say("attached: %d routes: right %v after the first create, %v after the last, with %d writes of the Gateway's status", b.attach, up.whole, up.after, up.writes)
	say("attached: and none again %v after the first delete, %v after the last, with %d writes", down.whole, down.after, down.writes)
	return errors.Join(
		goal("time to the right count after the last create", up.after, 1500*time.Millisecond),
		goal("writes of the Gateway's status", up.writes, 49),
	)
}

// each runs fn for 0 to n-1, 32 at a time.
func (b *bench) each(ctx context.Context, n int, fn func(int) error) error {
	group, _ := errgroup.WithContext(ctx)
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

// watchAttached tells each change of the Gateway's status.
func (b *bench) watchAttached(ctx context.Context, name string) (<-chan seen, func(), error) {
	w, err := b.gateways.Gateways(b.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		return nil, nil, err
	}
	counts := make(chan seen, 10000)
	go func() {
		defer close(counts)
		for event := range w.ResultChan() {
			if g, ok := event.Object.(*gatewayv1.Gateway); ok && len(g.Status.Listeners) == 1 {
				counts <- seen{int(g.Status.Listeners[0].AttachedRoutes), time.Now()}
			}
		}
	}()
	<-counts // the Gateway as it is
	return counts, w.Stop, nil
}

// settled is how long it took until the count was right.
type settled struct {
	whole, after time.Duration // from the first request, and from the last
	writes       int
}

// settle does the work and waits until the count is as wanted and stays so for a
// second. A count that is beyond what is wanted is an error.
func settle(ctx context.Context, counts <-chan seen, want int, work func() error) (settled, error) {
	var s settled
	start := time.Now()
	if err := work(); err != nil {
		return s, err
	}
	end := time.Now()
	quiet := time.NewTimer(time.Minute)
	defer quiet.Stop()
	last := seen{count: -1}
	for {
		select {
		case c, ok := <-counts:
			if !ok {
				return s, errors.New("the watch of the Gateway ended")
			}
			s.writes++
			last = c
			if c.count == want {
				quiet.Reset(time.Second)
			}
		case <-quiet.C:
			if last.count != want {
				return s, fmt.Errorf("%d routes are counted, want %d", last.count, want)
			}
			s.whole, s.after = last.at.Sub(start).Round(time.Millisecond), max(0, last.at.Sub(end)).Round(time.Millisecond)
			return s, nil
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}
