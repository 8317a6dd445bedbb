package translate_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// In a cluster, too, the translation is that of the objects, whatever Services
// are there already and whatever the replicas have said so far.
func TestIncrementalEqualsFromScratchInACluster(t *testing.T) {
	for _, hostNetwork := range []bool{false, true} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("hostNetwork=%v/%d", hostNetwork, seed), func(t *testing.T) {
				options := propertyOptions
				options.Cluster = &translate.Cluster{HostNetwork: hostNetwork}
				f := newFollower(options)
				w := world{newRandom(seed), t}
				for step := range 60 {
					changes := w.place(f.translator.View())
					for range 1 + w.IntN(3) {
						changes = append(changes, w.change(), w.remade(w.clusterObject()))
					}
					f.step(t, changes)
					scratch := translate.New(options)
					scratch.Update(f.snapshot, nil)
					scratch.Served(randomReport(scratch.View()))
					if diff := cmp.Diff(scratch.View().Serving(), f.translator.View().Serving(), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("serving from scratch (-) and incremental (+) differ:\n%s", diff)
					}
					if diff := cmp.Diff(wanted(scratch.View()), wanted(f.translator.View())); diff != "" {
						t.Errorf("wanted from scratch (-) and incremental (+) differ:\n%s", diff)
					}
					if t.Failed() {
						t.Fatalf("at step %d, after %v", step, keys(changes))
					}
				}
			})
		}
	}
}

// place puts some of what is wanted into the cluster, and lets replicas say what
// they serve, as it is in the view or as it was before.
func (w world) place(view translate.View) []snapshot.Change {
	var changes []snapshot.Change
	set := func(object snapshot.Object) {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
	}
	for _, wanted := range view.AllWanted() {
		if wanted.Service != nil && w.IntN(2) == 0 {
			set(wanted.Service.DeepCopy())
		}
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "sluice-system", Name: name, Labels: map[string]string{v1alpha1.LabelReplica: "true"}}
	}
	for _, name := range []string{"one", "two"} {
		if w.IntN(3) == 0 {
			serving := maps.Clone(view.Serving())
			for _, gateway := range slices.Sorted(maps.Keys(serving)) {
				if s := serving[gateway]; w.IntN(2) == 0 { // a replica may be far behind
					s.Ports = []uint16{pick[uint16](w, 10000, 10001, 10002)}
					serving[gateway] = s
				}
			}
			said, err := json.Marshal(serving)
			if err != nil {
				w.t.Fatal(err)
			}
			lease := &coordinationv1.Lease{ObjectMeta: meta(name)}
			lease.Annotations = map[string]string{v1alpha1.AnnotationServing: string(said)}
			set(lease)
		}
		if w.IntN(5) == 0 {
			pod := &corev1.Pod{ObjectMeta: meta(name)}
			pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.9"}}
			pod.Status.HostIPs = []corev1.HostIP{{IP: "192.0.2.9"}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: pick(w, corev1.ConditionTrue, corev1.ConditionTrue, corev1.ConditionFalse)}}
			set(pod)
		}
	}
	return changes
}

// clusterObject is one of those that only count in a cluster.
func (w world) clusterObject() snapshot.Object {
	switch w.IntN(5) {
	case 0:
		p := &v1alpha1.GatewayParameters{ObjectMeta: w.meta("p")}
		p.Spec.Service.Type = pick[corev1.ServiceType](w, "", "NodePort", "ClusterIP")
		p.Spec.AllowLocalBackends = pick(w, nil, nil, new(true))
		return p
	case 1:
		class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: pick(w, "sluice", "other")}}
		class.Spec.ControllerName = controllerName
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{
			Group: v1alpha1.GroupName, Kind: "GatewayParameters", Name: "p", Namespace: pick(w, nil, new(gatewayv1.Namespace("a"))),
		}
		return class
	case 2:
		g := w.gateway()
		g.UID = pick[types.UID](w, "", "1")
		g.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{
			Group: v1alpha1.GroupName, Kind: "GatewayParameters", Name: "p",
		}}
		return g
	case 3:
		crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "gatewayclasses." + gatewayv1.GroupName}}
		crd.Annotations = map[string]string{"gateway.networking.k8s.io/bundle-version": pick(w, "v1.6.3", "v1.2.0")}
		return crd
	}
	return w.placedService()
}

// placedService is one for a Gateway, which need not be as it is wanted.
func (w world) placedService() *corev1.Service {
	gateway := pick(w, "g1", "g2")
	s := &corev1.Service{ObjectMeta: w.meta(provision.ServiceName(gateway, pick(w, "sluice", "other")))}
	s.Labels = map[string]string{v1alpha1.LabelManagedBy: pick(w, v1alpha1.ManagedBySluice, v1alpha1.ManagedBySluice, "another")}
	s.OwnerReferences = []metav1.OwnerReference{{Kind: "Gateway", Name: gateway, UID: pick[types.UID](w, "", "1"), Controller: new(true)}}
	s.Spec.Type = pick(w, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	for _, port := range []int32{80, 81} {
		if w.IntN(3) > 0 {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: port, TargetPort: intstr.FromInt32(pick[int32](w, 10000, 10001, 10002, 80))})
		}
	}
	if w.IntN(2) == 0 {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: pick(w, "127.0.0.1", "198.51.100.1")}}
	}
	return s
}

func wanted(view translate.View) map[snapshot.Key]any {
	all := map[snapshot.Key]any{}
	for key, w := range view.AllWanted() {
		all[key] = w
	}
	return all
}
