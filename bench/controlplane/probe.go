package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// probe applies routes one after the other and asks for each until it is there.
// Until then the answer is 404; any other is an error. Each route has a second
// rule whose backend does not exist, which must hurt the first one never.
func probe(ctx context.Context, b *bench) error {
	address, err := b.gateway(ctx, "gateway")
	if err != nil {
		return err
	}
	if err := b.echo(ctx, "echo"); err != nil {
		return err
	}
	events, stop, err := b.watchRoutes(ctx)
	if err != nil {
		return err
	}
	defer stop()
	c := newClient(address, "", 1)
	var whole, after, told []time.Duration
	wrong := 0
	for i := range b.probe {
		c.hostname = fmt.Sprintf("route-%d.example", i)
		start := time.Now()
		if _, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, b.probed(fmt.Sprintf("route-%d", i), c.hostname), metav1.CreateOptions{}); err != nil {
			return err
		}
		applied := time.Now()
		unexpected, err := c.until200(ctx)
		if err != nil {
			return err
		}
		for _, u := range unexpected {
			fmt.Fprintf(os.Stderr, "probe: %s: %s\n", c.hostname, u)
		}
		wrong += len(unexpected)
		whole, after = append(whole, time.Since(start)), append(after, time.Since(applied))
		event, ok := <-events
		if !ok {
			return errors.New("the watch of the routes ended")
		}
		told = append(told, max(0, event.Sub(applied)))
	}
	r := &b.report
	r.found(fmt.Sprintf("from the API server's answer to the first 200, median of %d routes", b.probe), quantile(after, 0.5))
	atMost(r, "p99", quantile(after, 0.99), time.Duration(b.relax)*50*time.Millisecond)
	r.found("longest", quantile(after, 1))
	r.found("to compare: from the answer to the event of a bare watch, p99", quantile(told, 0.99))
	r.found("with the API server's own time, median", quantile(whole, 0.5))
	r.found("p99 of that", quantile(whole, 0.99))
	atMost(r, "answers other than 404 and 200", wrong, 0)
	return nil
}

// watchRoutes tells when each new route is seen by a watch that does nothing else:
// Sluice cannot know of it sooner.
func (b *bench) watchRoutes(ctx context.Context) (<-chan time.Time, func(), error) {
	w, err := b.gateways.HTTPRoutes(b.namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	events := make(chan time.Time, b.probe)
	go func() {
		defer close(events)
		for event := range w.ResultChan() {
			if event.Type == watch.Added {
				events <- time.Now()
			}
		}
	}()
	return events, w.Stop, nil
}

func (b *bench) probed(name, hostname string) *gatewayv1.HTTPRoute {
	r := b.route(name, "gateway", hostname, "echo")
	r.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{{
		Type:                  gatewayv1.HTTPRouteFilterRequestHeaderModifier,
		RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "route", Value: name}}},
	}}
	path, prefix := "/broken", gatewayv1.PathMatchPathPrefix
	r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{
		Matches:     []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &prefix, Value: &path}}},
		BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("absent", 80)},
	})
	return r
}

// quantile is the value that the share q of all is not above.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return rounded(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}
