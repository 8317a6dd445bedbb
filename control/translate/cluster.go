package translate

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Cluster is how Gateways are placed in a cluster, where several replicas serve
// all of them.
type Cluster struct {
	// HostNetwork says that replicas listen on the ports of their nodes. Otherwise
	// each Gateway has a Service, and each of its ports one that the replicas keep
	// for it.
	HostNetwork bool
}

// place is a Gateway of ours in the cluster.
type place struct {
	// service is the Gateway's as it is; nil if there is none.
	service *corev1.Service
	// open counts the accepted listeners of each port.
	open map[provision.Port]int // without Target
	// targets are the ports allotted to the Gateway's, and bound those of them that
	// the Service leads to already. Replicas listen on these.
	targets, bound map[uint16]uint16
	// refused is why the cluster did not take what the Gateway needs.
	refused string
	// digests are those of its listeners in the configuration, and parts their
	// sums: the Gateway's own, and those of its ListenerSets.
	digests map[string]uint64
	parts   map[string]*part
}

// shared reports whether the Gateways share the ports of Pods.
func (t *Translator) shared() bool {
	return t.options.Cluster != nil && !t.options.Cluster.HostNetwork
}

// translateServices finds the Service that each Gateway has.
func (t *Translator) translateServices() {
	for _, key := range t.graph.take(stageService) {
		r := t.reader()
		var service *corev1.Service
		if g := t.gateways[key]; g != nil {
			service = serviceOf(r, g)
		}
		t.graph.record(unit{stageService, key}, r.read)
		t.replaceService(key, service)
	}
}

// noteService follows the Services that Sluice made.
func (t *Translator) noteService(key snapshot.Key, object snapshot.Object) {
	before := t.services[key]
	service, _ := object.(*corev1.Service)
	if len(snapshot.Buckets(object)) == 0 {
		service = nil
	}
	if service == before {
		return
	}
	if service == nil {
		delete(t.services, key)
	} else {
		t.services[key] = service
	}
	t.work.reallot = true
}

// serviceOf is the Service with the name that it should have, or else another that
// was made for the Gateway, under an earlier class. That of an earlier Gateway with
// the same name is about to go with that one.
func serviceOf(r *reader, g *gateway) *corev1.Service {
	var found *corev1.Service
	for service := range snapshot.Each[*corev1.Service](r, snapshot.ServicesFor(g.key.Namespace, g.key.Name)) {
		if metav1.GetControllerOf(service).UID != g.object.UID {
			continue
		}
		if found == nil || service.Name == provision.ServiceName(g.key.Name, string(g.object.Spec.GatewayClassName)) {
			found = service
		}
	}
	return found
}

func (t *Translator) replaceService(key snapshot.Key, service *corev1.Service) {
	p := t.places[key]
	if t.gateways[key] == nil {
		if p != nil {
			delete(t.places, key)
			t.work.reallot, t.reserve = true, true
			t.work.unplaced[key] = struct{}{}
		}
		return
	}
	if p == nil {
		p = &place{open: map[provision.Port]int{}, digests: map[string]uint64{}, parts: map[string]*part{}}
		t.places[key] = p
	}
	t.work.reallot = true
	p.service = service
	t.work.unplaced[key] = struct{}{}
	t.work.unsettled[key] = struct{}{}
}

// placeGateways says what each Gateway needs that something changed for.
func (t *Translator) placeGateways() {
	if !t.shared() {
		return
	}
	for key := range t.work.unplaced {
		next := t.wanted(key)
		before, _ := t.view.wanted.Get(key)
		if !reflect.DeepEqual(before, next) {
			t.view.wanted = put(t.view.wanted, key, next, next.Service == nil)
			t.work.wanted = append(t.work.wanted, key)
		}
	}
	slices.SortFunc(t.work.wanted, snapshot.Key.Compare)
}

// wanted is nothing for a Gateway that is none of ours. One that has become
// invalid, or all of whose listeners have, keeps its Service as it is, and so its
// address.
func (t *Translator) wanted(key snapshot.Key) provision.Wanted {
	g, p := t.gateways[key], t.places[key]
	if g == nil || p == nil {
		return provision.Wanted{}
	}
	parameters := g.parameters.Service
	if !g.bindable() && p.service != nil {
		parameters = provision.ParametersOf(p.service)
	}
	var ports []provision.Port
	for port := range p.open {
		if port.Target = p.targets[port.Number]; port.Target != 0 {
			ports = append(ports, port)
		}
	}
	if len(ports) == 0 {
		ports = provision.PortsOf(p.service)
	}
	if len(ports) == 0 {
		return provision.Wanted{}
	}
	slices.SortFunc(ports, func(a, b provision.Port) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Transport(), b.Transport()), cmp.Compare(a.Protocol, b.Protocol))
	})
	ports = slices.CompactFunc(ports, func(a, b provision.Port) bool { return a.Number == b.Number && a.Transport() == b.Transport() })
	service := provision.Service(g.object, ports, parameters)
	return provision.Wanted{Service: service, Slices: provision.Slices(gatewayName(key), service, t.replicas)}
}

// gatewayName is how replicas name a Gateway.
func gatewayName(key snapshot.Key) string { return fmt.Sprintf("%s/%s", key.Namespace, key.Name) }

// Refused takes why the cluster did not take what a Gateway needs; empty, that it
// has after all. The result has no change of the configuration.
func (t *Translator) Refused(gateway snapshot.Key, why string) Result {
	t.open()
	t.work.delta = &config.Delta{Version: t.view.version}
	if p := t.places[gateway]; p != nil && p.refused != why {
		p.refused = why
		t.work.unsettled[gateway] = struct{}{}
		t.settleGateways()
	}
	return t.finish()
}
