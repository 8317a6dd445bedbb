package provision

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// Replicas listen on these ports for Gateways. They are below those that Linux
// gives to clients, and above those that need rights.
const (
	firstTarget = 10000
	lastTarget  = 29999
	targets     = lastTarget - firstTarget + 1
)

// Claim is the ports of a Gateway that its replicas need ports of their own for.
type Claim struct {
	Gateway snapshot.Key
	Created metav1.Time
	// Service is the Gateway's as it is; nil if there is none. Its targetPorts
	// remember what was allotted.
	Service *corev1.Service
	// Ports are those that clients connect to.
	Ports []uint16
}

// Allot gives each claimed port one that no other Gateway has: the one that the
// Service remembers, else a free one. It depends on the claims alone, not
// on their order. A port that there is none left for is absent.
//
// Strays are Services of Gateways that are gone, or that other ones replace. They
// keep their ports as long as they exist, for they still lead clients there, whom
// another Gateway must not answer.
func Allot(claims []Claim, strays []*corev1.Service) map[snapshot.Key]map[uint16]uint16 {
	slices.SortFunc(claims, older)
	taken := map[uint16]bool{}
	all := make(map[snapshot.Key]map[uint16]uint16, len(claims))
	for _, c := range claims {
		all[c.Gateway] = map[uint16]uint16{}
		// What is remembered for other ports stays taken: connections may be on them.
		remembered := Remembered(c.Service)
		for _, port := range slices.Sorted(maps.Keys(remembered)) {
			target := remembered[port]
			if taken[target] {
				continue
			}
			taken[target] = true
			if slices.Contains(c.Ports, port) {
				all[c.Gateway][port] = target
			}
		}
	}
	for _, s := range strays {
		for _, target := range Remembered(s) {
			taken[target] = true
		}
	}
	for _, c := range claims {
		next := firstFor(c.Gateway)
		for _, port := range c.Ports {
			if all[c.Gateway][port] != 0 {
				continue
			}
			if len(taken) == targets {
				return all
			}
			for taken[next] {
				next = after(next)
			}
			taken[next] = true
			all[c.Gateway][port] = next
		}
	}
	return all
}

// firstFor is where the search for a Gateway's ports begins. It depends on the
// name: so two that are new at the same time seldom want the same, and one whose
// Service has been written and not been seen yet keeps what it was given.
func firstFor(gateway snapshot.Key) uint16 {
	h := fnv.New32a()
	h.Write([]byte(gateway.Namespace + "/" + gateway.Name))
	return uint16(firstTarget + h.Sum32()%targets)
}

func after(target uint16) uint16 {
	if target == lastTarget {
		return firstTarget
	}
	return target + 1
}

// older orders claims: where two Services remember the same port, the older
// Gateway keeps it.
func older(a, b Claim) int {
	return cmp.Or(a.Created.Compare(b.Created.Time), a.Gateway.Compare(b.Gateway))
}

// Remembered is the port that replicas listen on, for each port of the Service. A
// Service that somebody has changed remembers only what can be.
func Remembered(service *corev1.Service) map[uint16]uint16 {
	if service == nil {
		return nil
	}
	remembered := make(map[uint16]uint16, len(service.Spec.Ports))
	for _, p := range service.Spec.Ports {
		if target := p.TargetPort.IntValue(); target >= firstTarget && target <= lastTarget {
			remembered[uint16(p.Port)] = uint16(target)
		}
	}
	return remembered
}
