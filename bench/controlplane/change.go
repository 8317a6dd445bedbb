package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// change changes a route again and again while requests run: its backend's port
// flips, and a filter comes and goes. Each change must take effect, no request may
// fail, and what replicas say of themselves must not be written for it.
func change(ctx context.Context, b *bench) error {
	address, err := b.gateway(ctx, "gateway")
	if err != nil {
		return err
	}
	if err := b.echo(ctx, "echo"); err != nil {
		return err
	}
	if _, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, b.route("route", "gateway", "route.example", "echo"), metav1.CreateOptions{}); err != nil {
		return err
	}
	c := newClient(address, "route.example", 8)
	if _, err := c.until200(ctx); err != nil {
		return err
	}
	before, err := b.placed(ctx)
	if err != nil {
		return err
	}
	requests := hammer(ctx, c, 8)
	defer requests.stop()
	var took []time.Duration
	for round := range b.rounds {
		t, err := b.flip(ctx, c, round)
		if err != nil {
			return err
		}
		took = append(took, t)
		if err := pause(ctx, 100*time.Millisecond); err != nil { // requests meet each form of the route
			return err
		}
	}
	requests.stop()
	after, err := b.placed(ctx)
	if err != nil {
		return err
	}
	written := 0
	for key, version := range after {
		if before[key] != version {
			written++
		}
	}
	r := &b.report
	r.found(fmt.Sprintf("from the API server's answer to the effect, median of %d changes", b.rounds), quantile(took, 0.5))
	r.found("longest", quantile(took, 1))
	r.found("requests meanwhile", requests.sent.Load())
	atMost(r, "requests that failed", requests.failed.Load(), 0)
	atMost(r, "Leases, Services and EndpointSlices written for it", written, 0)
	return nil
}

// flip changes the route and returns how long it took to have effect.
func (b *bench) flip(ctx context.Context, c *client, round int) (time.Duration, error) {
	want := answer{code: http.StatusOK, name: []string{"second", "first"}[round%2]}
	ref := backendRef("echo", []gatewayv1.PortNumber{8080, 80}[round%2])
	if round%4 < 2 {
		want.round = fmt.Sprint(round)
		ref.Filters = []gatewayv1.HTTPRouteFilter{{
			Type:                   gatewayv1.HTTPRouteFilterResponseHeaderModifier,
			ResponseHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "round", Value: want.round}}},
		}}
	}
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error { // with a write of its status
		routes := b.gateways.HTTPRoutes(b.namespace)
		route, err := routes.Get(ctx, "route", metav1.GetOptions{})
		if err != nil {
			return err
		}
		route.Spec.Rules[0].BackendRefs = []gatewayv1.HTTPBackendRef{ref}
		_, err = routes.Update(ctx, route, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	applied := time.Now()
	for time.Since(applied) < 30*time.Second {
		if got, err := c.get(ctx); err == nil && got == want {
			return time.Since(applied), nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("change %d has no effect after 30 s", round)
}

// placed are the versions of what says where Gateways are served.
func (b *bench) placed(ctx context.Context) (map[types.UID]string, error) {
	own := metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=sluice"}
	leases, err := b.core.CoordinationV1().Leases(b.installation).List(ctx, metav1.ListOptions{LabelSelector: ofReplicas})
	if err != nil {
		return nil, err
	}
	services, err := b.core.CoreV1().Services(b.namespace).List(ctx, own)
	if err != nil {
		return nil, err
	}
	endpoints, err := b.core.DiscoveryV1().EndpointSlices(b.namespace).List(ctx, own)
	if err != nil {
		return nil, err
	}
	all := map[types.UID]string{}
	for _, list := range []runtime.Object{leases, services, endpoints} {
		err := meta.EachListItem(list, func(o runtime.Object) error {
			object, err := meta.Accessor(o)
			if err == nil {
				all[object.GetUID()] = object.GetResourceVersion()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no replica says what it serves")
	}
	return all, nil
}

// requests are those that run until stop is called.
type requests struct {
	sent, failed atomic.Int64
	stop         func()
}

// hammer sends requests on so many connections.
func hammer(ctx context.Context, c *client, connections int) *requests {
	ctx, cancel := context.WithCancel(ctx)
	var r requests
	var all sync.WaitGroup
	r.stop = func() { cancel(); all.Wait() }
	for range connections {
		all.Go(func() {
			for {
				a, err := c.get(ctx)
				if ctx.Err() != nil {
					return
				}
				r.sent.Add(1)
				if err == nil && a.code != http.StatusOK {
					err = fmt.Errorf("the answer is %d", a.code)
				}
				if err != nil && r.failed.Add(1) <= 10 {
					fmt.Fprintln(os.Stderr, "change:", err)
				}
			}
		})
	}
	return &r
}
