// Package provision says what a Gateway needs in a cluster: its Service, and
// the EndpointSlices that lead the Service to the replicas that serve it. It is
// pure: whoever leads the replicas puts into the cluster what it says.
package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Wanted is what a Gateway needs. The zero value needs nothing.
type Wanted struct {
	Service *corev1.Service
	// Slices have no owner: it is the Service, whose UID the API server gives.
	Slices []*discoveryv1.EndpointSlice
}

// Serving is what a replica serves of one Gateway.
type Serving struct {
	// Digest stands for the configuration of the Gateway's own listeners. Replicas
	// with equal digests serve them alike.
	Digest string `json:"digest"`
	// Sets are the digests of the listeners of its ListenerSets, each of which
	// belongs to one of few parts: so it stays small with thousands of them, and
	// what one changes says something new of few others.
	Sets map[string]string `json:"sets,omitempty"`
	// Ports are those that it listens on for the Gateway, in rising order.
	Ports []uint16 `json:"ports,omitempty"`
	// Failures say why listeners are not served, by the listener's name in the
	// configuration.
	Failures map[string]string `json:"failures,omitempty"`
}

// The longest label of a DNS name, which the names of Services and the values of
// labels are bound to, and how much of a hash stands for what is cut off.
const (
	maxLabel   = 63
	hashLength = 8
)

var notInLabel = regexp.MustCompile(`[^a-z0-9-]+`)

// ServiceName is the name of the Service of a Gateway: that of the Gateway and of
// its class, as GEP-1762 recommends, so that it seldom is the name of another. What
// a Service's name cannot be is changed, and a hash keeps it unique.
func ServiceName(gateway, class string) string {
	whole := gateway + "-" + class
	name := strings.Trim(notInLabel.ReplaceAllString(whole, "-"), "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "gateway-" + name
	}
	if name == whole && len(name) <= maxLabel {
		return name
	}
	return shorten(name, whole)
}

// LabelValue is a name as the value of a label, which may be shorter.
func LabelValue(name string) string {
	if len(name) <= maxLabel {
		return name
	}
	return shorten(name, name)
}

// shorten makes room for the hash of the whole.
func shorten(name, whole string) string {
	if most := maxLabel - hashLength - 1; len(name) > most {
		name = strings.TrimRight(name[:most], "-.")
	}
	return name + "-" + hash(whole)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:hashLength]
}
