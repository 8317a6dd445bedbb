package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A definition that is not installed, or of another version, costs the objects of
// its kind and nothing else; Sluice says so, and takes them up when it is there.
func TestDefinitions(t *testing.T) {
	c := newClusterAlone(t)
	const name = "backends.sluice.dev"
	definition := must(os.ReadFile(filepath.Join(repository(), "deploy/crds/sluice.dev_backends.yaml")))(t)
	restore := func() {
		c.kubectl(definition, "apply", "--server-side", "--force-conflicts", "-f", "-")
		c.kubectl(nil, "wait", "--for=condition=Established", "crd/"+name, "--timeout=30s")
	}
	t.Cleanup(restore)
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("service", "gateway", "service.example", "echo")
	backend := func() {
		service := must(c.core.CoreV1().Services(c.namespace).Get(c.Context(), "echo", metav1.GetOptions{}))(t)
		c.kubectl(fmt.Appendf(nil, `
apiVersion: sluice.dev/v1alpha1
kind: Backend
metadata: {name: backend}
spec: {endpoints: [{ip: {address: %s, port: 80}}]}
`, service.Spec.ClusterIP), "-n", c.namespace, "apply", "-f", "-")
	}
	backend()
	c.kubectl([]byte(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: backend}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [backend.example]
  rules: [{backendRefs: [{group: sluice.dev, kind: Backend, name: backend}]}]
`), "-n", c.namespace, "apply", "-f", "-")
	c.answers(address, 80, "service.example", 200)
	c.answers(address, 80, "backend.example", 200)

	c.kubectl(nil, "delete", "crd", name)
	c.answers(address, 80, "backend.example", 500)
	c.answers(address, 80, "service.example", 200)
	c.logSays("CustomResourceDefinition " + name + " is not installed")
	c.eventually("the route says what is missing", 30*time.Second, func() error { return c.unresolved("backend") })
	c.makeRoute("meanwhile", "gateway", "meanwhile.example", "echo")
	c.answers(address, 80, "meanwhile.example", 200)

	restore()
	backend()
	c.answers(address, 80, "backend.example", 200)

	c.kubectl(nil, "patch", "crd", name, "--type=json", "-p", `[
		{"op":"copy","from":"/spec/versions/0","path":"/spec/versions/-"},
		{"op":"replace","path":"/spec/versions/1/name","value":"v1alpha9"},
		{"op":"replace","path":"/spec/versions/1/storage","value":false},
		{"op":"replace","path":"/spec/versions/0/served","value":false}]`)
	c.answers(address, 80, "backend.example", 500)
	c.logSays("CustomResourceDefinition " + name + " does not serve version v1alpha1")
	c.answers(address, 80, "service.example", 200)

	restore()
	c.answers(address, 80, "backend.example", 200)
}

// unresolved is nil if the route says that it refers to what is not there.
func (c *cluster) unresolved(name string) error {
	r, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, p := range r.Status.Parents {
		if got := meta.FindStatusCondition(p.Conditions, string(gatewayv1.RouteConditionResolvedRefs)); got != nil && got.Status == metav1.ConditionFalse {
			return nil
		}
	}
	return fmt.Errorf("its parents are %+v", r.Status.Parents)
}
