//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// service is what the load balancer looks at.
type service struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct{ LoadBalancerIP, LoadBalancerClass string }
	Status   struct{ LoadBalancer balancerStatus }
}

type balancerStatus struct {
	Ingress []ingress `json:"ingress"`
}

type ingress struct {
	IP string `json:"ip"`
}

func (s service) address() string {
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return s.Status.LoadBalancer.Ingress[0].IP
}

const balanced = "/api/v1/services?fieldSelector=spec.type%3DLoadBalancer"

// balance stands in for a cloud: it gives each Service of type LoadBalancer an
// address that kube-proxy answers on. It never returns.
func balance(c client) {
	for ; ; time.Sleep(200 * time.Millisecond) {
		if err := balanceUntilError(context.Background(), c); err != nil {
			fmt.Fprintln(os.Stderr, "cluster: load balancer:", err)
		}
	}
}

// balanceUntilError gives addresses now and after each change, until the watch ends.
func balanceUntilError(ctx context.Context, c client) error {
	var list struct {
		Metadata struct{ ResourceVersion string }
		Items    []service
	}
	if err := c.get(ctx, balanced, &list); err != nil {
		return err
	}
	for i, address := range assign(list.Items) {
		body, err := json.Marshal(object{"status": object{"loadBalancer": balancerStatus{[]ingress{{address}}}}})
		if err != nil {
			return err
		}
		m := list.Items[i].Metadata
		path := "/api/v1/namespaces/" + m.Namespace + "/services/" + m.Name + "/status"
		answer, err := c.do(ctx, http.MethodPatch, path, "application/merge-patch+json", body)
		if err != nil {
			return err
		}
		answer.Close()
	}
	changes, err := c.do(ctx, http.MethodGet, balanced+"&watch=true&resourceVersion="+list.Metadata.ResourceVersion, "", nil)
	if err != nil {
		return err
	}
	defer changes.Close()
	var change struct{ Type string }
	return json.NewDecoder(changes).Decode(&change)
}

// assign returns the addresses to write, by the index of the Service. A Service
// keeps what it has; one that asks for an address gets that or none.
func assign(services []service) map[int]string {
	taken := map[string]bool{}
	for _, s := range services {
		taken[s.address()] = true
	}
	free := func() string {
		for last := 100; last <= 199; last++ {
			if address := fmt.Sprint(nodeNetwork, last); !taken[address] {
				return address
			}
		}
		return ""
	}
	given := map[int]string{}
	for i, s := range services {
		address, wanted := s.address(), s.Spec.LoadBalancerIP
		if s.Spec.LoadBalancerClass != "" || address != "" && (wanted == "" || wanted == address) {
			continue
		}
		next := wanted
		if wanted == "" {
			next = free()
		} else if !inRange(wanted) || taken[wanted] {
			continue
		}
		if next != "" {
			given[i], taken[next] = next, true
		}
	}
	return given
}

// inRange reports whether the load balancer may give the address.
func inRange(address string) bool {
	for last := 100; last <= 199; last++ {
		if address == fmt.Sprint(nodeNetwork, last) {
			return true
		}
	}
	return false
}
