package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// change changes a route again and again while requests run: its backend's port
// flips, and a filter comes and goes. No request may fail.
func change(ctx context.Context, b *bench) error {
	address, err := b.gateway(ctx, "gateway")
	if err != nil {
		return err
	}
	if err := b.echo(ctx, "echo"); err != nil {
		return err
	}
	routes := b.gateways.HTTPRoutes(b.namespace)
	if _, err := routes.Create(ctx, b.route("route", "gateway", "route.example", "echo"), metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := newClient(1).until200(ctx, address, "route.example"); err != nil {
		return err
	}
	failures, requests, stop := hammer(ctx, address, "route.example", 8)
	for round := range b.rounds {
		if err := b.flip(ctx, round); err != nil {
			stop()
			return err
		}
		time.Sleep(200 * time.Millisecond) // requests meet each form of the route
	}
	stop()
	say("change: %d changes under %d requests: %d failed", b.rounds, requests.Load(), len(failures.all))
	return errors.Join(goal("requests that failed", len(failures.all), 0), failures.err())
}

func (b *bench) flip(ctx context.Context, round int) error {
	routes := b.gateways.HTTPRoutes(b.namespace)
	r, err := routes.Get(ctx, "route", metav1.GetOptions{})
	if err != nil {
		return err
	}
	ref := backendRef("echo", []gatewayv1.PortNumber{8080, 80}[round%2])
	if round%4 < 2 {
		ref.Filters = []gatewayv1.HTTPRouteFilter{{
			Type:                   gatewayv1.HTTPRouteFilterResponseHeaderModifier,
			ResponseHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "round", Value: fmt.Sprint(round)}}},
		}}
	}
	r.Spec.Rules[0].BackendRefs = []gatewayv1.HTTPBackendRef{ref}
	_, err = routes.Update(ctx, r, metav1.UpdateOptions{})
	return err
}

// failures are those of concurrent requests.
type failures struct {
	mu  sync.Mutex
	all []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, err)
}

// err is the first few.
func (f *failures) err() error { return errors.Join(f.all[:min(len(f.all), 5)]...) }

// hammer sends requests on so many connections until stop is called.
func hammer(ctx context.Context, address, hostname string, connections int) (*failures, *atomic.Int64, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var failed failures
	var requests atomic.Int64
	var all sync.WaitGroup
	c := newClient(connections)
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				code, err := c.get(ctx, address, hostname)
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					failed.add(err)
				case code != http.StatusOK:
					failed.add(fmt.Errorf("the answer is %d", code))
				}
				requests.Add(1)
			}
		})
	}
	return &failed, &requests, func() { cancel(); all.Wait() }
}
