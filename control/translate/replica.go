package translate

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// translateReplicas reads the replicas and finds the Gateways that they say
// something new about.
func (t *Translator) translateReplicas() {
	for _, key := range t.graph.take(stageReplica) {
		r := t.reader()
		next := provision.Replicas(r)
		t.graph.record(unit{stageReplica, key}, r.read)
		before := t.replicas
		t.replicas = next
		all := !slices.EqualFunc(before, next, samePod)
		for key := range t.gateways {
			if all || !sameServing(before, next, gatewayName(key)) {
				t.work.unplaced[key] = struct{}{}
				for owner := range t.ownersOf(key) {
					t.work.unsettled[owner] = struct{}{}
				}
			}
		}
	}
}

// samePod compares all but what the replicas say that they serve.
func samePod(a, b provision.Replica) bool {
	a.Serving, b.Serving = nil, nil
	return reflect.DeepEqual(a, b)
}

func sameServing(a, b []provision.Replica, gateway string) bool {
	return slices.EqualFunc(a, b, func(a, b provision.Replica) bool {
		return reflect.DeepEqual(a.Serving[gateway], b.Serving[gateway])
	})
}

// answerOf is what is known of a listener: in a cluster what all replicas say,
// otherwise what the data plane says.
func (t *Translator) answerOf(g *gateway, l *listener) answer {
	if t.options.Cluster == nil {
		return t.served.of(l.name)
	}
	p := t.places[g.key]
	if _, ok := t.bindPort(g, l); !ok {
		if p.targets[uint16(l.spec.Port)] == 0 {
			return answer{waiting: "all ports that replicas keep for Gateways are taken"}
		}
		return answer{waiting: "the Gateway's Service does not lead to the listener yet"}
	}
	digest := fmt.Sprintf("%016x", p.digest)
	counted := 0
	for i := range t.replicas {
		r := &t.replicas[i]
		if !r.Counts() {
			continue
		}
		counted++
		serving, said := r.Serving[gatewayName(g.key)]
		if failure := serving.Failures[l.name]; failure != "" {
			return answer{known: true, failure: fmt.Sprintf("replica %s: %s", r.Name, failure)}
		}
		if !said || serving.Digest != digest {
			return answer{waiting: fmt.Sprintf("replica %s does not serve it yet", r.Name)}
		}
	}
	if counted == 0 {
		return answer{waiting: "no replica is ready"}
	}
	return answer{known: true}
}

// publishServing says what this replica serves of each Gateway, once its data
// plane has reported.
func (t *Translator) publishServing() {
	if t.options.Cluster == nil || !t.reserve {
		return
	}
	t.reserve = false
	all := make(map[string]provision.Serving, len(t.places))
	for key, p := range t.places {
		if serving, ok := t.servingOf(p); ok {
			all[gatewayName(key)] = serving
		}
	}
	t.view.serving = all
}

func (t *Translator) servingOf(p *place) (provision.Serving, bool) {
	serving := provision.Serving{Digest: fmt.Sprintf("%016x", p.digest)}
	for name := range p.digests {
		own := t.served.of(name)
		if !own.known {
			return serving, false
		}
		if own.failure != "" {
			if serving.Failures == nil {
				serving.Failures = map[string]string{}
			}
			serving.Failures[name] = own.failure
			continue
		}
		if l, ok := t.view.listeners.Get(name); ok {
			serving.Ports = append(serving.Ports, l.Binds()[0].Port())
		}
	}
	slices.Sort(serving.Ports)
	serving.Ports = slices.Compact(serving.Ports)
	return serving, len(p.digests) > 0
}

// replicasKey names the one unit of the stage of replicas.
func replicasKey() snapshot.Key { return snapshot.Replicas() }
