package provision

import (
	"cmp"
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
// Service remembers, else the lowest free one. It depends on the claims alone, not
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
	next := uint16(firstTarget)
	for _, c := range claims {
		for _, port := range c.Ports {
			if all[c.Gateway][port] != 0 {
				continue
			}
			for next <= lastTarget && taken[next] {
				next++
			}
			if next > lastTarget {
				return all
			}
			taken[next] = true
			all[c.Gateway][port] = next
		}
	}
	return all
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
	targets := make(map[uint16]uint16, len(service.Spec.Ports))
	for _, p := range service.Spec.Ports {
		if target := p.TargetPort.IntValue(); target >= firstTarget && target <= lastTarget {
			targets[uint16(p.Port)] = uint16(target)
		}
	}
	return targets
}
