package kubernetes

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// An installation in an idle cluster with one Gateway takes 32 MiB at most, as the
// kubelet counts.
func TestMemory(t *testing.T) {
	c := newClusterAlone(t)
	const goal = 32 << 20
	c.install("memory", "")
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("route", "gateway", "memory.example", "echo")
	c.answers(address, 80, "memory.example", 200)

	pod, ready := c.replicas()[0], time.Now()
	var used uint64
	// The kubelet counts every ten seconds or so.
	c.eventually("the kubelet has counted", time.Minute, func() error {
		at, bytes := c.workingSet(pod.Spec.NodeName, string(pod.UID))
		if at.Before(ready.Add(5 * time.Second)) {
			return fmt.Errorf("it has at %v", at)
		}
		used = bytes
		return nil
	})
	t.Logf("working set: %.1f MiB", float64(used)/(1<<20))
	if used == 0 || used > goal {
		t.Errorf("the working set is %d bytes, and the goal %d", used, goal)
	}
}

// workingSet is that of a Pod's container, in bytes, and when its kubelet counted.
func (c *cluster) workingSet(node, uid string) (at time.Time, bytes uint64) {
	c.Helper()
	content := must(c.core.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("stats/summary").DoRaw(c.Context()))(c)
	var summary struct {
		Pods []struct {
			PodRef     struct{ UID string }
			Containers []struct {
				Memory struct {
					Time            time.Time
					WorkingSetBytes uint64
				}
			}
		}
	}
	if err := json.Unmarshal(content, &summary); err != nil {
		c.Fatal(err)
	}
	for _, p := range summary.Pods {
		if p.PodRef.UID == uid && len(p.Containers) == 1 {
			return p.Containers[0].Memory.Time, p.Containers[0].Memory.WorkingSetBytes
		}
	}
	return time.Time{}, 0
}
