package translate

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// sockets is a port with listeners of protocol HTTP. What holds for a client has to
// be known there before it has said which of the listeners it is for.
type sockets struct {
	// listeners counts those of each Gateway, its ListenerSets' included.
	listeners map[snapshot.Key]int
	// shares is what that means for each Gateway that has something to bind.
	shares map[snapshot.Key]share
}

// share is a Gateway's share of the sockets of a port.
type share struct {
	// sole says that one HTTP listener has the sockets to itself.
	sole bool
	// leader is the Gateway whose policy holds for all of the listeners otherwise,
	// and policy that policy; nil if it has none.
	leader snapshot.Key
	policy *clientPolicy
}

// indexSockets notes listeners of a Gateway or of one of its ListenerSets that have
// come (1) or go (-1).
func (t *Translator) indexSockets(gateway snapshot.Key, listeners []listener, n int) {
	for i := range listeners {
		l := &listeners[i]
		if l.spec.Protocol != gatewayv1.HTTPProtocolType || len(l.invalid) > 0 {
			continue
		}
		key := t.portKey(gateway, l.spec.Port)
		s := t.sockets[key]
		if s == nil {
			s = &sockets{listeners: map[snapshot.Key]int{}, shares: map[snapshot.Key]share{}}
			t.sockets[key] = s
		}
		if s.listeners[gateway] += n; s.listeners[gateway] == 0 {
			delete(s.listeners, gateway)
		}
		t.work.sockets[key] = struct{}{}
	}
}

// shareSockets decides whose policy holds on the sockets where something changed,
// and dirties the listeners whose lot that changes.
func (t *Translator) shareSockets() {
	for key := range t.work.sockets {
		s := t.sockets[key]
		before := s.shares
		s.shares = t.sharesOf(s)
		for gateway := range mergedKeys(before, s.shares) {
			if reflect.DeepEqual(before[gateway], s.shares[gateway]) {
				continue
			}
			t.graph.touch(socketsKey(gateway))
			for owner := range t.ownersOf(gateway) {
				t.work.unlisted[owner] = struct{}{}
				t.work.unsettled[owner] = struct{}{}
			}
		}
		if len(s.listeners) == 0 {
			delete(t.sockets, key)
		}
	}
}

func mergedKeys(a, b map[snapshot.Key]share) map[snapshot.Key]share {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// sharesOf finds the Gateways that share sockets: those where a connection may
// arrive at the addresses of both, and so on. The oldest of them leads.
func (t *Translator) sharesOf(s *sockets) map[snapshot.Key]share {
	var all []*gateway
	for key := range s.listeners {
		if g := t.gateways[key]; g != nil && g.bindable() {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *gateway) int {
		return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), a.key.Compare(b.key))
	})
	shares := map[snapshot.Key]share{}
	for _, group := range groupByAddress(all) {
		count := 0
		for _, g := range group {
			count += s.listeners[g.key]
		}
		for _, g := range group {
			shares[g.key] = share{sole: count == 1, leader: group[0].key, policy: group[0].policies.whole}
		}
	}
	return shares
}

// groupByAddress puts Gateways together whose addresses overlap, directly or by
// others. Groups keep the order of the Gateways.
func groupByAddress(all []*gateway) [][]*gateway {
	var groups [][]*gateway
	for _, g := range all {
		joined := -1
		for i := 0; i < len(groups); i++ {
			if !slices.ContainsFunc(groups[i], func(other *gateway) bool { return overlap(g.addresses, other.addresses) }) {
				continue
			}
			if joined < 0 {
				joined = i
				groups[i] = append(groups[i], g)
				continue
			}
			groups[joined] = append(groups[joined], groups[i]...)
			groups = slices.Delete(groups, i, i+1)
			i--
		}
		if joined < 0 {
			groups = append(groups, []*gateway{g})
		}
	}
	return groups
}

// socketOf is the Gateway's share of the sockets of a port.
func (t *Translator) socketOf(g *gateway, port gatewayv1.PortNumber) share {
	s := t.sockets[t.portKey(g.key, port)]
	if s == nil {
		return share{}
	}
	return s.shares[g.key]
}

// socketsKey stands for a Gateway's share of all sockets.
func socketsKey(gateway snapshot.Key) snapshot.Key {
	return snapshot.Key{Kind: "sockets of Gateway", Namespace: gateway.Namespace, Name: gateway.Name}
}
