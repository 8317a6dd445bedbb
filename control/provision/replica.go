package provision

import (
	"encoding/json"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Replica is one Pod that serves all Gateways.
type Replica struct {
	// Name is the Pod's, and Namespace the one that all replicas are in.
	Namespace, Name, Node string
	UID                   types.UID
	// Addresses are the Pod's, and Hosts those of its node.
	Addresses, Hosts []string
	// Ready is what the kubelet says; Terminating, that the Pod is about to end.
	Ready, Terminating bool
	// Serving is what it says itself, by "namespace/gateway".
	Serving map[string]Serving
}

// Replicas reads all replicas, ordered by name. What a replica says of itself is
// on the Lease with the name of its Pod; that of an earlier Pod of the name says
// nothing of this one.
func Replicas(r snapshot.Reader) []Replica {
	leases := map[string]*coordinationv1.Lease{}
	var all []Replica
	for object := range r.Bucket(snapshot.Replicas()) {
		switch o := object.(type) {
		case *corev1.Pod:
			all = append(all, replica(o))
		case *coordinationv1.Lease:
			leases[o.Name] = o
		}
	}
	for i := range all {
		if lease := leases[all[i].Name]; lease != nil && isOf(lease, all[i].UID) {
			all[i].Serving = serving(lease)
		}
	}
	slices.SortFunc(all, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func isOf(lease *coordinationv1.Lease, pod types.UID) bool {
	return !slices.ContainsFunc(lease.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return owner.Kind == "Pod" && owner.UID != pod
	})
}

// serving is nil where the Lease cannot be read.
func serving(lease *coordinationv1.Lease) map[string]Serving {
	var all map[string]Serving
	if json.Unmarshal([]byte(lease.Annotations[v1alpha1.AnnotationServing]), &all) != nil {
		return nil
	}
	return all
}

func replica(pod *corev1.Pod) Replica {
	r := Replica{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Node: pod.Spec.NodeName, Terminating: pod.DeletionTimestamp != nil}
	for _, ip := range pod.Status.PodIPs {
		r.Addresses = append(r.Addresses, ip.IP)
	}
	for _, ip := range pod.Status.HostIPs {
		r.Hosts = append(r.Hosts, ip.IP)
	}
	for _, c := range pod.Status.Conditions {
		r.Ready = r.Ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	return r
}

// Counts reports whether a Gateway is programmed only if the replica serves it.
func (r *Replica) Counts() bool { return r.Ready && !r.Terminating }

// HostAddresses are those of the nodes with a replica that is ready, each once and
// in order.
func HostAddresses(replicas []Replica) []gatewayv1.GatewayStatusAddress {
	var hosts []string
	for i := range replicas {
		if replicas[i].Counts() {
			hosts = append(hosts, replicas[i].Hosts...)
		}
	}
	slices.Sort(hosts)
	var all []gatewayv1.GatewayStatusAddress
	for _, host := range slices.Compact(hosts) {
		all = append(all, address(gatewayv1.IPAddressType, host))
	}
	return all
}
