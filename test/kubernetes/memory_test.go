package kubernetes

import (
	"encoding/json"
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

	pod := c.replicas()[0]
	var used uint64
	// The kubelet counts every ten seconds or so.
	for range 3 {
		time.Sleep(10 * time.Second)
		used = c.workingSet(pod.Spec.NodeName, string(pod.UID))
		t.Logf("working set: %.1f MiB", float64(used)/(1<<20))
	}
	if used == 0 || used > goal {
		t.Errorf("the working set is %d bytes, and the goal %d", used, goal)
	}
}

// workingSet is that of a Pod, in bytes, as its kubelet says.
func (c *cluster) workingSet(node, uid string) uint64 {
	c.Helper()
	content := must(c.core.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("stats/summary").DoRaw(c.Context()))(c)
	var summary struct {
		Pods []struct {
			PodRef     struct{ UID string }
			Containers []struct {
				Memory struct{ WorkingSetBytes uint64 }
			}
		}
	}
	if err := json.Unmarshal(content, &summary); err != nil {
		c.Fatal(err)
	}
	var sum uint64
	for _, p := range summary.Pods {
		if p.PodRef.UID == uid {
			for _, container := range p.Containers {
				sum += container.Memory.WorkingSetBytes
			}
		}
	}
	return sum
}
