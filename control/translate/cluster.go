package translate

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"maps"
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

// part is the sum of digests of some listeners of a Gateway, and how many of them
// each Gateway or ListenerSet has.
type part struct {
	sum    uint64
	owners map[snapshot.Key]int
}

func (p *part) String() string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%016x", p.sum)
}

// parts of the ListenerSets of a Gateway.
const maxParts = 128

// partOf is the part of a Gateway's listeners that those of the owner belong to;
// empty for the Gateway's own.
func partOf(owner snapshot.Key) string {
	if owner.Kind == snapshot.KindGateway {
		return ""
	}
	h := fnv.New32a()
	io.WriteString(h, owner.Namespace+"/"+owner.Name)
	return fmt.Sprintf("%02x", h.Sum32()%maxParts)
}

// opened is what the listeners of a Gateway or a ListenerSet open.
type opened struct {
	gateway snapshot.Key
	ports   []provision.Port
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

// openPorts notes which ports of the Gateway an owner's listeners open.
func (t *Translator) openPorts(owner snapshot.Key) {
	if t.options.Cluster == nil {
		return
	}
	before, next := t.opened[owner], opened{}
	if g, listeners := t.listenersOf(owner); g != nil && g.bindable() {
		next.gateway = g.key
		for i := range listeners {
			// One that only lacks its certificate keeps its port, and so whatever
			// the cluster has given to it.
			if l := &listeners[i]; t.listenerStands(l) {
				next.ports = append(next.ports, provision.Port{Number: uint16(l.spec.Port), Protocol: l.spec.Protocol})
			}
		}
	}
	t.countOpen(before, -1)
	t.countOpen(next, 1)
	if len(next.ports) == 0 {
		delete(t.opened, owner)
	} else {
		t.opened[owner] = next
	}
}

func (t *Translator) countOpen(o opened, n int) {
	p := t.places[o.gateway]
	if p == nil {
		return
	}
	for _, port := range o.ports {
		if p.open[port] += n; p.open[port] == 0 {
			delete(p.open, port)
		}
	}
	t.work.reallot = true
	t.work.unplaced[o.gateway] = struct{}{}
}

// allotPorts gives the open ports of all Gateways ports of the replicas, and finds
// those that Services lead to.
func (t *Translator) allotPorts() {
	if !t.shared() || !t.work.reallot {
		return
	}
	var claims []provision.Claim
	strays := maps.Clone(t.services)
	for key, p := range t.places {
		if p.service != nil {
			delete(strays, snapshot.KeyOf(p.service))
		}
		claims = append(claims, provision.Claim{
			Gateway: key, Created: t.gateways[key].object.CreationTimestamp, Service: p.service, Ports: numbers(p.open),
		})
	}
	for key, targets := range provision.Allot(claims, slices.Collect(maps.Values(strays))) {
		t.replaceTargets(key, t.places[key], targets)
	}
}

func (t *Translator) replaceTargets(key snapshot.Key, p *place, targets map[uint16]uint16) {
	remembered := provision.Remembered(p.service)
	bound := maps.Clone(targets)
	maps.DeleteFunc(bound, func(port, target uint16) bool { return remembered[port] != target })
	if maps.Equal(p.targets, targets) && maps.Equal(p.bound, bound) {
		return
	}
	p.targets, p.bound = targets, bound
	t.work.unplaced[key] = struct{}{}
	for owner := range t.ownersOf(key) {
		t.work.unlisted[owner] = struct{}{}
		t.work.unsettled[owner] = struct{}{}
	}
}

func numbers(open map[provision.Port]int) []uint16 {
	var all []uint16
	for port := range open {
		all = append(all, port.Number)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ownersOf are a Gateway and its ListenerSets.
func (t *Translator) ownersOf(gateway snapshot.Key) iter.Seq[snapshot.Key] {
	return func(yield func(snapshot.Key) bool) {
		if !yield(gateway) {
			return
		}
		for set := range t.snapshot.Bucket(snapshot.ListenerSetsOf(gateway.Namespace, gateway.Name)) {
			if key := snapshot.KeyOf(set); t.sets[key] != nil && !yield(key) {
				return
			}
		}
	}
}

// bindPort is the port to listen on in place of the listener's own, 0 for that
// itself. It is false as long as there is none.
func (t *Translator) bindPort(g *gateway, l *listener) (uint16, bool) {
	if !t.shared() {
		return 0, true
	}
	port := t.places[g.key].bound[uint16(l.spec.Port)]
	return port, port != 0
}

// digest follows a listener of the configuration; nil is gone.
func (t *Translator) digest(gateway, owner snapshot.Key, name string, l *config.Listener) {
	p := t.places[gateway]
	if p == nil {
		return
	}
	before, had := p.digests[name]
	next := digestOf(l)
	if before == next {
		return
	}
	sums := p.parts[partOf(owner)]
	if sums == nil {
		sums = &part{owners: map[snapshot.Key]int{}}
		p.parts[partOf(owner)] = sums
	}
	sums.sum ^= before ^ next
	switch {
	case l == nil:
		delete(p.digests, name)
		if sums.owners[owner]--; sums.owners[owner] == 0 {
			delete(sums.owners, owner)
		}
	default:
		p.digests[name] = next
		if !had {
			sums.owners[owner]++
		}
	}
	t.reserve = true
	t.unsettlePart(sums)
	if len(sums.owners) == 0 {
		delete(p.parts, partOf(owner))
	}
}

func (t *Translator) unsettlePart(p *part) {
	if p == nil {
		return
	}
	for owner := range p.owners {
		t.work.unsettled[owner] = struct{}{}
	}
}

// digestOf stands for all that a listener is, its certificates' keys included.
func digestOf(l *config.Listener) uint64 {
	if l == nil {
		return 0
	}
	h := sha256.New()
	io.WriteString(h, l.String())
	for _, c := range l.Certificates {
		h.Write(c.Chain)
		h.Write(c.Key)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
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
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol))
	})
	ports = slices.CompactFunc(ports, func(a, b provision.Port) bool { return a.Number == b.Number })
	service := provision.Service(g.object, ports, parameters)
	return provision.Wanted{Service: service, Slices: provision.Slices(gatewayName(key), service, t.replicas)}
}

// gatewayName is how replicas name a Gateway.
func gatewayName(key snapshot.Key) string { return fmt.Sprintf("%s/%s", key.Namespace, key.Name) }

// Refused takes why the cluster did not take what a Gateway needs; empty, that it
// has after all. The result has no change of the configuration.
func (t *Translator) Refused(gateway snapshot.Key, why string) Result {
	t.work = newWork(t.view)
	t.work.delta = &config.Delta{Version: t.view.version}
	if p := t.places[gateway]; p != nil && p.refused != why {
		p.refused = why
		t.work.unsettled[gateway] = struct{}{}
		t.settleGateways()
	}
	return t.finish()
}
