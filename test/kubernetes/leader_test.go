package kubernetes

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// With two replicas, the death of the one that leads costs no request for longer
// than kube-proxy needs to notice, and the other one writes the statuses.
func TestLeaderKilled(t *testing.T) {
	c := newCluster(t)
	c.scale(2)
	t.Cleanup(func() { c.scale(1) })
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("before", "gateway", "before.example", "echo")
	c.answers(address, 80, "before.example", 200)

	leader := c.leader()
	if err := c.core.CoreV1().Pods(system).Delete(c.Context(), leader, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
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

func (c *cluster) scale(replicas int) {
	c.Helper()
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	if _, err := c.core.AppsV1().Deployments(system).Patch(contextOf(c), "sluice", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
	c.eventually("Sluice is scaled", time.Minute, func() error { return c.rolledOut(system, "sluice") })
}

// leader is the name of the Pod that leads.
func (c *cluster) leader() string {
	c.Helper()
	lease := must(c.core.CoordinationV1().Leases(system).Get(contextOf(c), "sluice", metav1.GetOptions{}))(c)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// routeAccepted is nil if the route's one parent has accepted it.
func (c *cluster) routeAccepted(name string) error {
	r, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Get(contextOf(c), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(r.Status.Parents) != 1 || !meta.IsStatusConditionTrue(r.Status.Parents[0].Conditions, string(gatewayv1.RouteConditionAccepted)) {
		return fmt.Errorf("its parents are %+v", r.Status.Parents)
	}
	return nil
}
