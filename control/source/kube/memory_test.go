package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// BenchmarkMemory reports how much of the heap an object takes that is read and
// kept, with all that is kept for it.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		of      string
		number  int // of what is counted
		objects []snapshot.Object
	}{
		{"route", 5_000, largeRoutes(5_000)},
		{"endpoint", 40_000, largeSlices(400)},
		{"secret", 5_000, largeSecrets(5_000)},
		{"configmap", 5_000, largeConfigMaps(5_000)},
	} {
		b.Run(c.of, func(b *testing.B) {
			server := newAPIServer(b)
			server.put(c.objects...)
			for b.Loop() {
				before := heap()
				first := make(chan struct{}, 1)
				source := kube.New(kube.Options{Client: server.client(b), Namespace: ownNamespace, Log: slog.New(slog.DiscardHandler)})
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan struct{})
				go func() {
					_ = source.Run(ctx, func(kube.Update) { first <- struct{}{} })
					close(ended)
				}()
				<-first
				b.ReportMetric(float64(heap()-before)/float64(c.number), "B/"+c.of)
				cancel()
				<-ended
				runtime.KeepAlive(source)
			}
		})
	}
}

// heap is what is alive.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// manifest is what a user wrote, as kubectl keeps it, and the books of the fields.
func books(o snapshot.Object) {
	o.SetAnnotations(map[string]string{corev1.LastAppliedConfigAnnotation: fmt.Sprintf("%01024d", 0)})
	o.SetManagedFields([]metav1.ManagedFieldsEntry{{
		Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, Time: new(metav1.NewTime(time.Unix(0, 0))), FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(fmt.Sprintf(`{"f:spec":{"f:%01024d":{}}}`, 0)),
	}})
}

func largeRoutes(n int) (all []snapshot.Object) {
	for i := range n {
		r := route(fmt.Sprint("route-", i))
		r.CreationTimestamp = metav1.NewTime(time.Unix(0, 0))
		books(r)
		r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
		r.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("host-%d.example.com", i))}
		r.Spec.Rules = []gatewayv1.HTTPRouteRule{{
			Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new(fmt.Sprint("/path/", i))}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
				BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(fmt.Sprint("service-", i)), Port: new(gatewayv1.PortNumber(80))},
				Weight:                 new(int32(1)),
			}}},
		}}
		r.Status.Parents = []gatewayv1.RouteParentStatus{{
			ControllerName: "sluice.dev/gateway-controller", ParentRef: r.Spec.ParentRefs[0],
			Conditions: []metav1.Condition{
				{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", Message: "the route is attached", LastTransitionTime: metav1.NewTime(time.Unix(0, 0))},
				{Type: "ResolvedRefs", Status: metav1.ConditionTrue, Reason: "ResolvedRefs", Message: "all references are resolved", LastTransitionTime: metav1.NewTime(time.Unix(0, 0))},
			},
		}}
		all = append(all, r)
	}
	return all
}

func largeSlices(n int) (all []snapshot.Object) {
	for i := range n {
		s := &discoveryv1.EndpointSlice{ObjectMeta: named("shop", fmt.Sprint("slice-", i)), AddressType: discoveryv1.AddressTypeIPv4}
		s.Labels = map[string]string{discoveryv1.LabelServiceName: fmt.Sprint("service-", i), discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"}
		s.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}}
		for j := range 100 {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
				Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", i/256, i%256, j)},
				Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
				NodeName:   new(fmt.Sprint("node-", j)), Zone: new("zone-a"),
				Hints:     &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "zone-a"}}},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("pod-%d-%d", i, j), UID: "0b6c24a2-31d7-4d57-9a4b-5c3e1f5f0b0e"},
			})
		}
		all = append(all, s)
	}
	return all
}

func largeSecrets(n int) (all []snapshot.Object) {
	for i := range n {
		s := secret(fmt.Sprint("secret-", i), "")
		books(s)
		all = append(all, s)
	}
	return all
}

func largeConfigMaps(n int) (all []snapshot.Object) {
	for i := range n {
		m := authority(fmt.Sprint("authority-", i), "")
		books(m)
		all = append(all, m)
	}
	return all
}
