package translate_test

import (
	"encoding/json"
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// BenchmarkInACluster measures changes where a hundred Gateways are placed and three
// replicas serve them. What one route or endpoint costs must not grow with their
// number; what a replica says anew costs what it says, and a changed Gateway the
// ports of all.
func BenchmarkInACluster(b *testing.B) {
	changes := map[string]func(i, turn int, said [2]string) snapshot.Object{
		"route": func(i, turn int, _ [2]string) snapshot.Object {
			route := benchRoute(i)
			route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("t%d.example", turn))}
			return route
		},
		"endpoint": func(i, turn int, _ [2]string) snapshot.Object {
			return benchSlice(i, fmt.Sprintf("10.1.%d.%d", turn/250%250, 1+turn%250))
		},
		"lease":   func(_, turn int, said [2]string) snapshot.Object { return benchLease("pod-0", said[turn%2]) },
		"gateway": func(_, turn int, _ [2]string) snapshot.Object { return benchGateway(0, 8000+turn%2) },
	}
	for name, next := range changes {
		for _, size := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/routes=%d", name, size), func(b *testing.B) {
				translator, s, said := benchCluster(size)
				report := config.Report{Listeners: map[string]error{}}
				b.ReportAllocs()
				turn := 0
				for b.Loop() {
					turn++
					object := next(turn%size, turn, said)
					key := snapshot.KeyOf(object)
					s = s.With([]snapshot.Change{{Key: key, Object: object}})
					report.Version = translator.Update(s, []snapshot.Key{key}).Delta.Version
					translator.Served(report)
				}
			})
		}
	}
}

// benchCluster is a settled cluster, what its replicas say, and what one may have
// said before the last Gateway came.
func benchCluster(routes int) (*translate.Translator, *snapshot.Snapshot, [2]string) {
	translator := translate.New(translate.Options{ControllerName: controllerName, Cluster: &translate.Cluster{}})
	s := snapshot.New().With(benchObjects(routes))
	update := func(objects ...snapshot.Object) {
		var changes []snapshot.Change
		for _, object := range objects {
			changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
		}
		s = s.With(changes)
		translator.Update(s, keys(changes))
		translator.Served(randomReport(translator.View()))
	}
	var gateways, services, replicas []snapshot.Object
	for i := range 100 {
		gateways = append(gateways, benchGateway(i, 80))
	}
	update(gateways...)
	for _, wanted := range translator.View().AllWanted() {
		services = append(services, wanted.Service)
	}
	update(services...)
	serving := translator.View().Serving()
	said := [2]string{benchSaid(serving)}
	for i := range 3 {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = "sluice-system", fmt.Sprintf("pod-%d", i)
		pod.Status.PodIPs = []corev1.PodIP{{IP: fmt.Sprintf("10.0.0.%d", i)}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		replicas = append(replicas, pod, benchLease(pod.Name, said[0]))
	}
	update(replicas...)
	before := map[string]any{}
	for name, s := range serving {
		if name != "default/gw-99" {
			before[name] = s
		}
	}
	said[1] = benchSaid(before)
	return translator, s, said
}

func benchSaid(serving any) string {
	said, err := json.Marshal(serving)
	if err != nil {
		panic(err)
	}
	return string(said)
}

func benchLease(pod, said string) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{}
	lease.Namespace, lease.Name = "sluice-system", pod
	lease.Annotations = map[string]string{v1alpha1.AnnotationServing: said}
	return lease
}

func benchGateway(i, port int) *gatewayv1.Gateway {
	g := &gatewayv1.Gateway{}
	g.Namespace, g.Name = "default", fmt.Sprintf("gw-%d", i)
	g.Spec.GatewayClassName = "sluice"
	g.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: gatewayv1.PortNumber(port), Protocol: gatewayv1.HTTPProtocolType}}
	return g
}
