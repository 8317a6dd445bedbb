package kubernetes

import (
	"fmt"
	"testing"
	"time"
)

// A rollout of Sluice itself costs no request, with kube-proxy in between.
func TestRolloutUnderLoad(t *testing.T) {
	c := newCluster(t)
	c.install("rollout", "")
	c.makeEcho("echo", 2)
	address := c.makeGateway("gateway")
	c.makeRoute("route", "gateway", "roll.example", "echo")
	c.answers(address, 80, "roll.example", 200)

	l := c.startLoad(address, "roll.example", 200)
	c.restart()
	time.Sleep(15 * time.Second) // the old Pods drain
	l.stop(c)
}

// restart rolls Sluice's Deployment and waits for its end.
func (c *cluster) restart() {
	c.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"restarted":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	c.patchDeployment(patch)
	c.eventually("Sluice is rolled out", 2*time.Minute, func() error { return c.rolledOut(c.installation.namespace, c.installation.release) })
}
