package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// load makes thousands of routes, each with a Service and endpoints of its own
// without Pods, changes endpoints and routes for a while, and says what Sluice's
// Pods took of processor and memory, as the kubelet counts them.
func load(ctx context.Context, b *bench) error {
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
		if err := b.createNamespace(ctx, names[i]); err != nil {
			return err
		}
	}
	defer func() {
		_ = b.each(context.Background(), len(names), func(i int) error { return b.deleteNamespace(names[i]) })
	}()
	total := b.namespaces * b.perNamespace
	start := time.Now()
	if err := b.each(ctx, total, func(i int) error { return b.workload(ctx, names[i%len(names)], i) }); err != nil {
		return err
	}
	say("load: %d routes were made in %v", total, time.Since(start).Round(time.Second))
	last := b.route("last", "gateway", "last.example", "echo")
	if _, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, last, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := newClient(1).until200(ctx, address, "last.example"); err != nil {
		return err
	}

	before, err := b.usage(ctx)
	if err != nil {
		return err
	}
	changes, err := b.churnEndpoints(ctx, names, total)
	if err != nil {
		return err
	}
	after, err := b.usage(ctx)
	if err != nil {
		return err
	}
	cores := float64(after.cpu-before.cpu) / float64(after.at.Sub(before.at))
	say("load: %d routes, %d changes of endpoints in %v: %.3f cores, %d MiB anonymous, working set %d MiB, in %d Pods",
		total, changes, b.churn, cores, after.anonymous>>20, after.workingSet>>20, after.pods)
	return errors.Join(goal("anonymous MiB", after.anonymous>>20/int64(max(1, after.pods)), 100))
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

// churnEndpoints changes the endpoints of one Service after the other, twenty a second.
func (b *bench) churnEndpoints(ctx context.Context, names []string, total int) (changes int, err error) {
	next := time.NewTicker(50 * time.Millisecond)
	defer next.Stop()
	for end := time.Now().Add(b.churn); time.Now().Before(end); changes++ {
		i := changes % total
		if _, err := b.core.DiscoveryV1().EndpointSlices(names[i%len(names)]).Update(ctx, slice(fmt.Sprintf("route-%d", i), i, changes+1), metav1.UpdateOptions{}); err != nil {
			return changes, err
		}
		<-next.C
	}
	return changes, nil
}

// usage is what all of Sluice's Pods took until then.
type usage struct {
	at                    time.Time
	cpu                   int64 // ns
	anonymous, workingSet int64 // bytes
	pods                  int
}

// summary is the part of the kubelet's /stats/summary that is read.
type summary struct {
	Pods []struct {
		PodRef     struct{ Name, Namespace string }
		Containers []struct {
			CPU struct {
				Time                 time.Time
				UsageCoreNanoSeconds int64
			}
			Memory struct{ WorkingSetBytes, RSSBytes int64 }
		}
	}
}

// usage asks the kubelets, after the ten seconds in which they count anew.
func (b *bench) usage(ctx context.Context) (usage, error) {
	time.Sleep(12 * time.Second)
	nodes, err := b.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return usage{}, err
	}
	u := usage{}
	for _, node := range nodes.Items {
		if err := b.add(ctx, &u, node); err != nil {
			return usage{}, err
		}
	}
	if u.pods == 0 {
		return usage{}, errors.New("the kubelets know no Pod of Sluice in namespace sluice-system")
	}
	return u, nil
}

func (b *bench) add(ctx context.Context, u *usage, node corev1.Node) error {
	body, err := b.core.CoreV1().RESTClient().Get().Resource("nodes").Name(node.Name).SubResource("proxy").Suffix("stats/summary").DoRaw(ctx)
	if err != nil {
		return err
	}
	var s summary
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	for _, pod := range s.Pods {
		if pod.PodRef.Namespace != "sluice-system" || !strings.HasPrefix(pod.PodRef.Name, "sluice") {
			continue
		}
		u.pods++
		for _, c := range pod.Containers {
			u.cpu += c.CPU.UsageCoreNanoSeconds
			u.anonymous += c.Memory.RSSBytes
			u.workingSet += c.Memory.WorkingSetBytes
			u.at = c.CPU.Time
		}
	}
	return nil
}
