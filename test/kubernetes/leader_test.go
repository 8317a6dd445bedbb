package kubernetes

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// With two replicas, the death of the one that leads costs no request for longer
// than kube-proxy needs to notice, and the other one writes the statuses.
func TestLeaderKilled(t *testing.T) {
	c := newCluster(t)
	c.install("leader", "replicas: 2")
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("before", "gateway", "before.example", "echo")
	c.answers(address, 80, "before.example", 200)

	leader := c.leader()
	if err := c.core.CoreV1().Pods(c.installation.namespace).Delete(c.Context(), leader, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	c.makeRoute("after", "gateway", "after.example", "echo")
	c.answers(address, 80, "after.example", 200)
	c.eventually("another replica leads and writes", time.Minute, func() error {
		if now := c.leader(); now == leader {
			return errors.New(leader + " still leads")
		}
		return c.routeAccepted("after")
	})
}

// routeAccepted is nil if each of the route's parents has accepted it.
func (c *cluster) routeAccepted(name string) error {
	r, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Get(contextOf(c), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(r.Status.Parents) != len(r.Spec.ParentRefs) {
		return fmt.Errorf("its parents are %+v", r.Status.Parents)
	}
	for _, p := range r.Status.Parents {
		if !meta.IsStatusConditionTrue(p.Conditions, string(gatewayv1.RouteConditionAccepted)) {
			return fmt.Errorf("its parents are %+v", r.Status.Parents)
		}
	}
	return nil
}
