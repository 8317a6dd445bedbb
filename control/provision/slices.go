package provision

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// maxEndpoints is the most endpoints that an EndpointSlice holds.
const maxEndpoints = 1000

// group is the replicas that belong into one EndpointSlice: those with addresses
// of one family that listen on the same of the Service's ports.
type group struct {
	family    discoveryv1.AddressType
	ports     []corev1.ServicePort
	endpoints []discoveryv1.Endpoint
}

// Slices are the EndpointSlices of the Gateway's Service. A replica is in one once
// it says that it listens, and as long as it is there.
func Slices(gateway string, service *corev1.Service, replicas []Replica) []*discoveryv1.EndpointSlice {
	groups := map[string]*group{}
	var order []string
	for i := range replicas {
		r := &replicas[i]
		ports := listening(service, r.Serving[gateway].Ports)
		if len(ports) == 0 {
			continue
		}
		for _, address := range r.Addresses {
			family := familyOf(address)
			key := fmt.Sprint(family, numbers(ports))
			if groups[key] == nil {
				groups[key] = &group{family: family, ports: ports}
				order = append(order, key)
			}
			groups[key].endpoints = append(groups[key].endpoints, endpoint(r, address))
		}
	}
	slices.Sort(order)
	var all []*discoveryv1.EndpointSlice
	for _, key := range order {
		for part, endpoints := range slices.Collect(slices.Chunk(groups[key].endpoints, maxEndpoints)) {
			all = append(all, slice(service, groups[key], fmt.Sprint(key, part), endpoints))
		}
	}
	return all
}

// listening are the Service's ports that the replica listens on.
func listening(service *corev1.Service, bound []uint16) []corev1.ServicePort {
	var ports []corev1.ServicePort
	for _, p := range service.Spec.Ports {
		if slices.Contains(bound, uint16(p.TargetPort.IntValue())) {
			ports = append(ports, p)
		}
	}
	return ports
}

func numbers(ports []corev1.ServicePort) (all []int) {
	for _, p := range ports {
		all = append(all, p.TargetPort.IntValue())
	}
	return all
}

func familyOf(address string) discoveryv1.AddressType {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

// endpoint is a replica at one of its addresses. One that is about to end still
// serves, says its Lease; clients are sent there if no other is ready.
func endpoint(r *Replica, address string) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{
		Addresses: []string{address},
		Conditions: discoveryv1.EndpointConditions{
			Ready:       new(r.Counts()),
			Serving:     new(r.Ready || r.Terminating),
			Terminating: &r.Terminating,
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: r.Namespace, Name: r.Name, UID: r.UID},
	}
	if r.Node != "" {
		e.NodeName = &r.Node
	}
	return e
}

func slice(service *corev1.Service, g *group, key string, endpoints []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace,
			Name:      service.Name + "-" + hash(key),
			Labels: map[string]string{
				discoveryv1.LabelServiceName:  service.Name,
				discoveryv1.LabelManagedBy:    v1alpha1.GroupName,
				v1alpha1.LabelManagedBy:       v1alpha1.ManagedBySluice,
				gatewayv1.GatewayNameLabelKey: service.Labels[gatewayv1.GatewayNameLabelKey],
			},
		},
		AddressType: g.family,
		Endpoints:   endpoints,
	}
	for _, p := range g.ports {
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: new(p.Name), Protocol: new(p.Protocol), Port: new(int32(p.TargetPort.IntValue()))})
	}
	return s
}
