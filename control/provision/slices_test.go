package provision_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/sluicegateway/sluice/control/provision"
)

// An EndpointSlice holds 1000 endpoints at most.
func TestManyReplicas(t *testing.T) {
	service := remembering(map[int32]int32{80: 10000})
	service.Name = "gw"
	var replicas []provision.Replica
	for i := range 2500 {
		replicas = append(replicas, provision.Replica{
			Name: fmt.Sprint("pod-", i), Addresses: []string{fmt.Sprintf("10.0.%d.%d", i/250, i%250)},
			Serving: map[string]provision.Serving{"default/gw": {Ports: []uint16{10000}}},
		})
	}
	names, endpoints := map[string]bool{}, 0
	for _, s := range provision.Slices("default/gw", service, replicas) {
		if len(s.Endpoints) > 1000 {
			t.Errorf("%s has %d endpoints", s.Name, len(s.Endpoints))
		}
		names[s.Name] = true
		endpoints += len(s.Endpoints)
	}
	if len(names) != 3 || endpoints != 2500 {
		t.Errorf("%d slices with names of their own and %d endpoints, want 3 and 2500", len(names), endpoints)
	}
}

// label is what RFC 1035 calls one.
var label = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// Names of Services are DNS labels, and those of different Gateways differ.
func TestServiceName(t *testing.T) {
	seen := map[string]string{}
	for _, gateway := range []string{"gw", "gw.example", "gw-example", "4ever", "gateway-4ever", "a..b", "-", "x" + fmt.Sprintf("%0252d", 0), "x" + fmt.Sprintf("%0252d", 1)} {
		name := provision.ServiceName(gateway, "sluice")
		if len(name) > 63 || !label.MatchString(name) {
			t.Errorf("Gateway %s: %q is no label of a DNS name", gateway, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("Gateways %s and %s have the same Service %s", gateway, other, name)
		}
		seen[name] = gateway
	}
}
