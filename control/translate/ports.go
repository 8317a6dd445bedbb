package translate

import (
	"iter"
	"maps"
	"slices"

	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// opened is what the listeners of a Gateway or a ListenerSet open.
type opened struct {
	gateway snapshot.Key
	ports   []provision.Port
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
			l := &listeners[i]
			if !t.listenerStands(l) {
				continue
			}
			next.ports = append(next.ports, provision.Port{Number: uint16(l.spec.Port), Protocol: l.spec.Protocol})
			if policy := t.policyOf(g, l); policy != nil && policy.clientOf(l).HTTP3 {
				next.ports = append(next.ports, provision.Port{Number: uint16(l.spec.Port), Protocol: provision.HTTP3})
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
			Served: servedPorts(t.replicas, gatewayName(key)),
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
