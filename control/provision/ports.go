package provision

import (
	"cmp"
	"hash/fnv"
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
	// Ports are those that clients connect to, each once.
	Ports []uint16
	// Served are those that replicas say they listen on for the Gateway.
	Served []uint16
}

// Allot gives each claimed port one that no other Gateway has: the one that the
// Service remembers, else a free one. It depends on the claims alone, not
// on their order. A port that there is none left for is absent.
//
// Who may write a Service may have it remember whatever port he likes. So of those
// that remember the same, the one that is served there keeps it; and what is
// remembered for ports that nobody claims is only avoided.
//
// Strays are Services of Gateways that are gone, or that other ones replace. They
// still lead clients to their ports, whom another Gateway must not answer.
func Allot(claims []Claim, strays []*corev1.Service) map[snapshot.Key]map[uint16]uint16 {
	slices.SortFunc(claims, older)
	a := allotment{all: make(map[snapshot.Key]map[uint16]uint16, len(claims)), taken: map[uint16]bool{}, avoided: map[uint16]bool{}}
	for i := range claims {
		a.all[claims[i].Gateway] = map[uint16]uint16{}
		a.recall(&claims[i], true)
	}
	for i := range claims {
		a.recall(&claims[i], false)
		a.avoid(claims[i].Service)
	}
	for _, s := range strays {
		a.avoid(s)
	}
	for i := range claims {
		a.fill(&claims[i])
	}
	return a.all
}

// allotment is who has which port.
type allotment struct {
	all            map[snapshot.Key]map[uint16]uint16
	taken, avoided map[uint16]bool // those that are taken are avoided, too
}

// recall gives a Gateway what its Service remembers, all or what is served there.
func (a *allotment) recall(c *Claim, served bool) {
	remembered := Remembered(c.Service)
	for _, port := range c.Ports {
		target := remembered[port]
		if target != 0 && !a.taken[target] && (!served || slices.Contains(c.Served, target)) {
			a.give(c, port, target)
		}
	}
}

func (a *allotment) give(c *Claim, port, target uint16) {
	a.taken[target], a.avoided[target] = true, true
	a.all[c.Gateway][port] = target
}

func (a *allotment) avoid(service *corev1.Service) {
	for _, target := range Remembered(service) {
		a.avoided[target] = true
	}
}

// fill gives a Gateway ports that are free, or at least not taken.
func (a *allotment) fill(c *Claim) {
	next := firstFor(c.Gateway)
	for _, port := range c.Ports {
		if a.all[c.Gateway][port] != 0 {
			continue
		}
		used := a.avoided
		if len(used) == targets {
			used = a.taken
		}
		if len(used) == targets {
			return
		}
		for used[next] {
			next = after(next)
		}
		a.give(c, port, next)
	}
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

// older orders claims: where two Services remember the same port and that decides
// nothing, the older Gateway keeps it.
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
