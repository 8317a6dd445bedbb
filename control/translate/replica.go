package translate

import (
	"fmt"
	"maps"
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
				t.work.reallot = t.work.reallot || !slices.Equal(servedPorts(before, gatewayName(key)), servedPorts(next, gatewayName(key)))
				t.work.unplaced[key] = struct{}{}
				t.unsettleServed(key, before, next, all)
			}
		}
	}
}

// unsettleServed unsettles the Gateway and those of its ListenerSets that the
// replicas say something new about; all of them where the replicas are others.
func (t *Translator) unsettleServed(gateway snapshot.Key, before, next []provision.Replica, all bool) {
	t.work.unsettled[gateway] = struct{}{}
	changed := map[string]bool{}
	for i := range next {
		if all {
			break
		}
		a, b := before[i].Serving[gatewayName(gateway)], next[i].Serving[gatewayName(gateway)]
		all = !maps.Equal(a.Failures, b.Failures)
		for in := range t.places[gateway].parts {
			changed[in] = changed[in] || digestIn(a, in) != digestIn(b, in)
		}
	}
	if all {
		for owner := range t.ownersOf(gateway) {
			t.work.unsettled[owner] = struct{}{}
		}
	}
	for in, is := range changed {
		if is {
			t.unsettlePart(t.places[gateway].parts[in])
		}
	}
}

// digestIn is what a replica says of a part of a Gateway's listeners.
func digestIn(s provision.Serving, in string) string {
	if in == "" {
		return s.Digest
	}
	return s.Sets[in]
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

// servedPorts are those that any replica says it listens on for a Gateway, in
// rising order.
func servedPorts(replicas []provision.Replica, gateway string) []uint16 {
	var all []uint16
	for i := range replicas {
		all = append(all, replicas[i].Serving[gateway].Ports...)
	}
	slices.Sort(all)
	return slices.Compact(all)
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
			return answer{waiting: noPort, nobody: true}
		}
		return answer{waiting: "waiting for the Gateway's Service to lead to the listener"}
	}
	in := partOf(l.owner)
	counted := 0
	for i := range t.replicas {
		r := &t.replicas[i]
		if !r.Counts() {
			continue
		}
		counted++
		serving, said := r.Serving[gatewayName(g.key)]
		if !said || digestIn(serving, in) != p.parts[in].String() {
			return answer{waiting: fmt.Sprintf("replica %s does not serve it yet", r.Name)}
		}
		if failure := serving.Failures[l.name]; failure != "" {
			return answer{known: true, failure: fmt.Sprintf("replica %s: %s", r.Name, failure)}
		}
	}
	if counted == 0 {
		return answer{waiting: "no replica of Sluice is ready", nobody: true}
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
		if len(p.digests) > 0 {
			all[gatewayName(key)] = t.servingOf(p)
		}
	}
	t.view.serving = all
}

// servingOf has no digests as long as the data plane has not reported on all
// listeners: it may serve some as they were before.
func (t *Translator) servingOf(p *place) provision.Serving {
	serving := provision.Serving{Digest: p.parts[""].String()}
	for in, sums := range p.parts {
		if in == "" {
			continue
		}
		if serving.Sets == nil {
			serving.Sets = map[string]string{}
		}
		serving.Sets[in] = sums.String()
	}
	for name := range p.digests {
		own := t.served.of(name)
		if !own.known {
			serving.Digest, serving.Sets = "", nil
			continue
		}
		if own.failure != "" {
			if serving.Failures == nil {
				serving.Failures = map[string]string{}
			}
			serving.Failures[name] = own.failure
			if !own.partly {
				continue
			}
		}
		if l, ok := t.view.listeners.Get(name); ok {
			serving.Ports = append(serving.Ports, l.Binds()[0].Port())
		}
	}
	slices.Sort(serving.Ports)
	serving.Ports = slices.Compact(serving.Ports)
	return serving
}

// replicasKey names the one unit of the stage of replicas.
func replicasKey() snapshot.Key { return snapshot.Replicas() }
