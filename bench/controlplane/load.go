package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// load makes thousands of routes, each with a Service and endpoints of its own
// without Pods, changes endpoints for a while, and says what Sluice's Pods took of
// processor and memory, as the kubelet counts them.
func load(ctx context.Context, b *bench) (err error) {
	address, err := b.gateway(ctx, "gateway")
	if err != nil {
		return err
	}
	if err := b.echo(ctx, "echo"); err != nil {
		return err
	}
	names := make([]string, b.namespaces)
	for i := range names {
		names[i] = fmt.Sprintf("bench-load-%d", i)
	}
	defer func() {
		err = errors.Join(err, each(len(names), func(i int) error { return b.deleteNamespace(names[i]) }))
	}()
	if err := each(len(names), func(i int) error { return b.createNamespace(ctx, names[i]) }); err != nil {
		return err
	}

	largest := b.watchUsage(ctx)
	defer largest()
	total := b.namespaces * b.perNamespace
	start := time.Now()
	if err := each(total, func(i int) error { return b.workload(ctx, names[i%len(names)], i) }); err != nil {
		return err
	}
	b.report.found(fmt.Sprintf("time to make %d routes, Services and EndpointSlices", total), rounded(time.Since(start)))
	last := b.route("last", "gateway", "last.example", "echo")
	if _, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, last, metav1.CreateOptions{}); err != nil {
		return err
	}
	c := newClient(address, "last.example", 1)
	if _, err := c.until200(ctx); err != nil {
		return err
	}
	if err := pause(ctx, settling); err != nil { // statuses are written
		return err
	}
	if err := b.underChurn(ctx, names, total, c); err != nil {
		return err
	}
	b.report.found("most anonymous memory of the Pod at any time, also while routes were made", largest().anonymous)
	return nil
}

func (b *bench) underChurn(ctx context.Context, names []string, total int, c *client) error {
	before, err := b.usage(ctx)
	if err != nil {
		return err
	}
	changes, failed, err := b.churnEndpoints(ctx, names, total, c)
	if err != nil {
		return err
	}
	after, err := b.usage(ctx)
	if err != nil {
		return err
	}
	r := &b.report
	atMost(r, fmt.Sprintf("anonymous memory of the Pod with %d routes, after %d changes of endpoints in %v", total, changes, b.churn), after.largest().anonymous, 100*mebibyte)
	r.found("working set of the Pod, as the kubelet says", after.largest().workingSet)
	r.found("processors' time by time, while endpoints changed", after.since(before))
	atMost(r, "requests that failed meanwhile", failed, 0)
	return nil
}

// workload is a route, its Service and its endpoints, which nobody has.
func (b *bench) workload(ctx context.Context, namespace string, i int) error {
	name := fmt.Sprintf("route-%d", i)
	if _, err := b.core.CoreV1().Services(namespace).Create(ctx, service(name, nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := b.core.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice(name, i, 0), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := b.gateways.HTTPRoutes(namespace).Create(ctx, b.route(name, "gateway", name+".example", name), metav1.CreateOptions{})
	return err
}

func slice(name string, i, round int) *discoveryv1.EndpointSlice {
	port, ready := int32(8000), true
	first := "first"
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &first, Port: &port}},
	}
	for e := range 4 {
		address := fmt.Sprintf("198.18.%d.%d", i%256, (round*4+e)%256) // RFC 2544: for measurements
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
	}
	return s
}

// churnEndpoints changes the endpoints of one Service after the other, twenty a
// second, and sends a request after each.
func (b *bench) churnEndpoints(ctx context.Context, names []string, total int, c *client) (changes, failed int, err error) {
	next := time.NewTicker(50 * time.Millisecond)
	defer next.Stop()
	for end := time.Now().Add(b.churn); time.Now().Before(end); changes++ {
		i := changes % total
		if _, err := b.core.DiscoveryV1().EndpointSlices(names[i%len(names)]).Update(ctx, slice(fmt.Sprintf("route-%d", i), i, changes+1), metav1.UpdateOptions{}); err != nil {
			return changes, failed, err
		}
		if a, err := c.get(ctx); err != nil || a.code != http.StatusOK {
			failed++
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return changes, failed, ctx.Err()
		}
	}
	return changes, failed, nil
}
