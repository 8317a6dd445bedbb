// Package provision says what a Gateway needs in a cluster: its Service, and
// the EndpointSlices that lead the Service to the replicas that serve it. It is
// pure: whoever leads the replicas puts into the cluster what it says.
package provision

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Wanted is what a Gateway needs. The zero value needs nothing.
type Wanted struct {
	Service *corev1.Service
	Slices  []*discoveryv1.EndpointSlice
}

// Serving is what a replica serves of one Gateway.
type Serving struct {
	// Digest stands for the configuration of the Gateway's listeners. Replicas
	// with equal digests serve them alike.
	Digest string `json:"digest"`
	// Ports are those that it listens on for the Gateway, in rising order.
	Ports []uint16 `json:"ports,omitempty"`
	// Failures say why listeners are not served, by the listener's name in the
	// configuration.
	Failures map[string]string `json:"failures,omitempty"`
}
