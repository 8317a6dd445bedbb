package kubernetes

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A Backend leads nowhere that its author could not reach and the proxy can:
// loopback and the node, by address or by a name that resolves to it. The
// parameters of a class may allow it.
func TestLocalBackends(t *testing.T) {
	c := newCluster(t)
	node := c.nodeAddress()
	c.install("local", `
gatewayClasses:
  sluice: null
  local: {}
  local-allowed: {allowLocalBackends: true}
`, fmt.Sprintf(`{"spec":{"template":{"spec":{"hostAliases":[{"ip":%q,"hostnames":["node.example"]},{"ip":"127.0.0.1","hostnames":["loopback.example"]}]}}}}`, node))
	t.Cleanup(func() { c.kubectl(nil, "delete", "gatewayclass", "local-allowed", "--ignore-not-found") })

	// Sluice's admin listener answers other hostnames than its own with 403, and the
	// kubelet plain HTTP with 400.
	endpoints := map[string]struct {
		endpoint string
		allowed  int
		static   bool
	}{
		"loopback":         {"ip: {address: 127.0.0.1, port: 9901}", 403, true},
		"node":             {fmt.Sprintf("ip: {address: %s, port: 10250}", node), 400, false},
		"name-of-loopback": {"fqdn: {hostname: loopback.example, port: 9901}", 403, false},
		"name-of-node":     {"fqdn: {hostname: node.example, port: 10250}", 400, false},
	}
	c.create("refused", gatewayv1.GatewaySpec{})
	c.create("allowed", gatewayv1.GatewaySpec{GatewayClassName: "local-allowed"})
	refused, allowed := c.programmed("refused"), c.programmed("allowed")
	for name, e := range endpoints {
		c.kubectl(fmt.Appendf(nil, `
apiVersion: sluice.dev/v1alpha1
kind: Backend
metadata: {name: %s}
spec: {endpoints: [{%s}]}
`, name, e.endpoint), "-n", c.namespace, "apply", "-f", "-")
		for _, gateway := range []string{"refused", "allowed"} {
			c.kubectl(fmt.Appendf(nil, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s-%s}
spec:
  parentRefs: [{name: %[1]s}]
  hostnames: [%[2]s.example]
  rules:
  - filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /livez}}}]
    backendRefs: [{group: sluice.dev, kind: Backend, name: %[2]s}]
`, gateway, name), "-n", c.namespace, "apply", "-f", "-")
		}
	}
	for name, e := range endpoints {
		c.answers(allowed, 80, name+".example", e.allowed)
		c.answers(refused, 80, name+".example", 503)
		if e.static {
			c.eventually("Backend "+name+" says why", 30*time.Second, func() error { return c.backendRefused(name) })
		}
	}
}

// nodeAddress is that of the node on which Pods of the shared installation run.
func (c *cluster) nodeAddress() string {
	c.Helper()
	pods := c.replicas()
	if len(pods) == 0 {
		c.Fatal("Sluice has no Pods")
	}
	return pods[0].Status.HostIP
}

// backendRefused is nil if the Backend says that it leads where it must not.
func (c *cluster) backendRefused(name string) error {
	backends := c.dynamic.Resource(schema.GroupVersionResource{Group: "sluice.dev", Version: "v1alpha1", Resource: "backends"})
	object, err := backends.Namespace(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if got := meta.FindStatusCondition(conditionsOf(object), "Accepted"); got == nil || got.Status != metav1.ConditionFalse || got.Reason != "LocalEndpoint" {
		return fmt.Errorf("its condition is %+v", got)
	}
	return nil
}

func conditionsOf(object *unstructured.Unstructured) []metav1.Condition {
	var content struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &content)
	return content.Status.Conditions
}
