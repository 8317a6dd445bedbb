package provision_test

import (
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

func gateway(name string) snapshot.Key {
	return snapshot.Key{Kind: snapshot.KindGateway, Namespace: "default", Name: name}
}

// remembering is a Service that leads its ports to targets.
func remembering(targets map[int32]int32) *corev1.Service {
	s := &corev1.Service{}
	for port, target := range targets {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: port, TargetPort: intstr.FromInt32(target)})
	}
	return s
}

func TestAllot(t *testing.T) {
	young, old := metav1.NewTime(time.Unix(200, 0)), metav1.NewTime(time.Unix(100, 0))
	type targets = map[uint16]uint16
	tests := []struct {
		rule   string
		claims []provision.Claim
		strays []*corev1.Service
		want   map[string]targets
	}{
		{
			"each Gateway's ports begin at a place of its own",
			[]provision.Claim{{Gateway: gateway("a"), Created: young, Ports: []uint16{80, 443}}, {Gateway: gateway("b"), Created: old, Ports: []uint16{80}}},
			nil,
			map[string]targets{"a": {80: 26262, 443: 26263}, "b": {80: 28643}},
		},
		{
			"what a Service remembers stays, and fills no gap",
			[]provision.Claim{{Gateway: gateway("a"), Service: remembering(map[int32]int32{80: 10001}), Ports: []uint16{80, 443}}, {Gateway: gateway("b"), Ports: []uint16{80}}},
			nil,
			map[string]targets{"a": {80: 10001, 443: 26262}, "b": {80: 28643}},
		},
		{
			"of two that remember the same port the older Gateway keeps it",
			[]provision.Claim{
				{Gateway: gateway("a"), Created: young, Service: remembering(map[int32]int32{80: 10000}), Ports: []uint16{80}},
				{Gateway: gateway("b"), Created: old, Service: remembering(map[int32]int32{80: 10000}), Ports: []uint16{80}},
			},
			nil,
			map[string]targets{"a": {80: 26262}, "b": {80: 10000}},
		},
		{
			"of two that remember the same port the one that is served there keeps it",
			[]provision.Claim{
				{Gateway: gateway("a"), Created: young, Service: remembering(map[int32]int32{80: 10000}), Ports: []uint16{80}, Served: []uint16{10000}},
				{Gateway: gateway("b"), Created: old, Service: remembering(map[int32]int32{80: 10000}), Ports: []uint16{80}, Served: []uint16{10001}},
			},
			nil,
			map[string]targets{"a": {80: 10000}, "b": {80: 28643}},
		},
		{
			"what is remembered for a port that nobody claims takes it from nobody",
			[]provision.Claim{
				{Gateway: gateway("a"), Created: young, Service: remembering(map[int32]int32{80: 10000}), Ports: []uint16{80}},
				{Gateway: gateway("b"), Created: old, Service: remembering(map[int32]int32{81: 10000}), Ports: []uint16{80}},
			},
			nil,
			map[string]targets{"a": {80: 10000}, "b": {80: 28643}},
		},
		{
			"a port that the Gateway has given up is nobody's as long as its Service leads there",
			[]provision.Claim{{Gateway: gateway("a"), Service: remembering(map[int32]int32{80: 26262, 81: 10001}), Ports: []uint16{81, 82}}},
			nil,
			map[string]targets{"a": {81: 10001, 82: 26263}},
		},
		{
			"nobody gets the port of a Service whose Gateway is gone, and who has it keeps it",
			[]provision.Claim{{Gateway: gateway("a"), Service: remembering(map[int32]int32{80: 10001}), Ports: []uint16{80}}, {Gateway: gateway("b"), Ports: []uint16{80}}},
			[]*corev1.Service{remembering(map[int32]int32{80: 28643, 81: 10001})},
			map[string]targets{"a": {80: 10001}, "b": {80: 28644}},
		},
		{
			"ports that are not for Gateways are not remembered",
			[]provision.Claim{{Gateway: gateway("a"), Service: remembering(map[int32]int32{80: 9901, 81: 30000, 82: -1}), Ports: []uint16{80, 81, 82}}},
			nil,
			map[string]targets{"a": {80: 26262, 81: 26263, 82: 26264}},
		},
	}
	for _, test := range tests {
		got := provision.Allot(test.claims, test.strays)
		for name, want := range test.want {
			if !maps.Equal(got[gateway(name)], want) {
				t.Errorf("%s: Gateway %s has %v, want %v", test.rule, name, got[gateway(name)], want)
			}
		}
	}
}

// A port that there is none left for is absent; what was allotted before stays.
func TestAllotWithNoPortLeft(t *testing.T) {
	many := provision.Claim{Gateway: gateway("a"), Created: metav1.NewTime(time.Unix(100, 0))}
	for port := range uint16(20000) {
		many.Ports = append(many.Ports, 1+port)
	}
	late := provision.Claim{Gateway: gateway("b"), Created: metav1.NewTime(time.Unix(200, 0)), Ports: []uint16{80}}
	got := provision.Allot([]provision.Claim{late, many}, nil)
	if len(got[gateway("a")]) != 20000 || len(got[gateway("b")]) != 0 {
		t.Errorf("%d and %d ports, want 20000 and none", len(got[gateway("a")]), len(got[gateway("b")]))
	}
}

// Whoever has a Service remember all ports leaves Gateways those that nobody else has.
func TestAllotWithAllPortsRemembered(t *testing.T) {
	all := map[int32]int32{}
	for target := int32(10000); target < 30000; target++ {
		all[target] = target
	}
	claims := []provision.Claim{
		{Gateway: gateway("a"), Service: remembering(map[int32]int32{80: 28643}), Ports: []uint16{80}},
		{Gateway: gateway("b"), Ports: []uint16{80, 81}},
	}
	for name, claims := range map[string][]provision.Claim{
		"of no Gateway":      claims,
		"of another Gateway": append(claims, provision.Claim{Gateway: gateway("c"), Service: remembering(all)}),
	} {
		var strays []*corev1.Service
		if len(claims) == 2 {
			strays = append(strays, remembering(all))
		}
		got := provision.Allot(claims, strays)
		if a, b := got[gateway("a")], got[gateway("b")]; a[80] != 28643 || b[80] != 28644 || b[81] != 28645 {
			t.Errorf("%s: %v and %v", name, a, b)
		}
	}
}
