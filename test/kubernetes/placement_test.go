package kubernetes

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Gateways with the same port and hostname are apart: each has an address of its
// own, and only its own routes.
func TestSamePortAndHostname(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("one", 1)
	c.makeEcho("two", 1)
	addresses := map[string]string{}
	for _, name := range []string{"one", "two"} {
		addresses[name] = c.makeGateway(name)
		c.makeRoute(name, name, "same.example", name)
	}
	if addresses["one"] == addresses["two"] {
		t.Fatalf("both have the address %s", addresses["one"])
	}
	for name, address := range addresses {
		c.answers(address, 80, "same.example", 200)
		if got := c.answeredBy(address, 80, "same.example"); got != name {
			t.Errorf("Gateway %s leads to %s", name, got)
		}
	}
}

// An address that the Gateway asks for is the one it gets, or its status says why not.
func TestAddresses(t *testing.T) {
	c := newCluster(t)
	usable, unusable := os.Getenv("SLUICE_TEST_USABLE_ADDRESS"), os.Getenv("SLUICE_TEST_UNUSABLE_ADDRESS")
	if usable == "" || unusable == "" {
		t.Skip("SLUICE_TEST_USABLE_ADDRESS and SLUICE_TEST_UNUSABLE_ADDRESS name no addresses of the load balancer and of nobody")
	}
	asking := func(name string, kind gatewayv1.AddressType, value string) {
		c.create(name, gatewayv1.GatewaySpec{Addresses: []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: value}}})
	}
	asking("usable", gatewayv1.IPAddressType, usable)
	asking("empty", gatewayv1.IPAddressType, "")
	asking("unusable", gatewayv1.IPAddressType, unusable)
	asking("hostname", gatewayv1.HostnameAddressType, "elsewhere.example")
	asking("unknown", "test.example/address", "a")

	if got := c.programmed("usable"); got != usable {
		t.Errorf("got the address %s, want %s", got, usable)
	}
	if got := c.programmed("empty"); net.ParseIP(got) == nil || got == usable {
		t.Errorf("who asks for any address got %q", got)
	}
	for name, want := range map[string]metav1.Condition{
		"unusable": {Type: "Programmed", Status: "False", Reason: string(gatewayv1.GatewayReasonAddressNotUsable)},
		"hostname": {Type: "Programmed", Status: "False", Reason: string(gatewayv1.GatewayReasonAddressNotUsable)},
		"unknown":  {Type: "Accepted", Status: "False", Reason: string(gatewayv1.GatewayReasonUnsupportedAddress)},
	} {
		c.eventually(name+" says why", 30*time.Second, func() error { return c.gatewayHas(name, want) })
	}
}

// gatewayHas is nil if the Gateway has the condition.
func (c *cluster) gatewayHas(name string, want metav1.Condition) error {
	g, err := c.gateway.GatewayV1().Gateways(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if got := meta.FindStatusCondition(g.Status.Conditions, want.Type); got == nil || got.Status != want.Status || got.Reason != want.Reason {
		return fmt.Errorf("its conditions are %+v", g.Status.Conditions)
	}
	return nil
}

// The GatewayParameters of a class say what Services its Gateways get; those of a
// Gateway win, and what is of no use is said.
func TestParameters(t *testing.T) {
	c := newCluster(t)
	c.install("parameters", `
gatewayClasses:
  sluice: null
  parameters:
    service: {type: NodePort, externalTrafficPolicy: Local}
`)
	c.kubectl([]byte(`
apiVersion: sluice.dev/v1alpha1
kind: GatewayParameters
metadata: {name: own}
spec: {service: {type: ClusterIP}}
---
apiVersion: sluice.dev/v1alpha1
kind: GatewayParameters
metadata: {name: local}
spec: {allowLocalBackends: true}
`), "-n", c.namespace, "apply", "-f", "-")
	c.makeEcho("echo", 1)
	own := func(name string) *gatewayv1.GatewayInfrastructure {
		return &gatewayv1.GatewayInfrastructure{
			Labels:        map[gatewayv1.LabelKey]gatewayv1.LabelValue{"test.example/label": "a"},
			Annotations:   map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"test.example/annotation": "b c"},
			ParametersRef: &gatewayv1.LocalParametersReference{Group: "sluice.dev", Kind: "GatewayParameters", Name: name},
		}
	}
	c.create("of-class", gatewayv1.GatewaySpec{})
	c.create("of-itself", gatewayv1.GatewaySpec{Infrastructure: own("own")})
	c.create("missing", gatewayv1.GatewaySpec{Infrastructure: own("absent")})
	c.create("forbidden", gatewayv1.GatewaySpec{Infrastructure: own("local")})
	c.makeRoute("of-class", "of-class", "class.example", "echo")
	c.makeRoute("of-itself", "of-itself", "itself.example", "echo")

	address := c.programmed("of-class")
	service := c.serviceOf("of-class")
	if s := service.Spec; s.Type != corev1.ServiceTypeNodePort || s.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		t.Errorf("the class's Service is %+v", s)
	}
	c.answers(address, int(service.Spec.Ports[0].NodePort), "class.example", 200)

	address = c.programmed("of-itself")
	service = c.serviceOf("of-itself")
	if s := service.Spec; s.Type != corev1.ServiceTypeClusterIP || s.ClusterIP != address {
		t.Errorf("the Gateway's own Service is %+v, its address %s", s, address)
	}
	if service.Labels["test.example/label"] != "a" || service.Annotations["test.example/annotation"] != "b c" ||
		service.Labels["gateway.networking.k8s.io/gateway-name"] != "of-itself" {
		t.Errorf("the Service has labels %v and annotations %v", service.Labels, service.Annotations)
	}
	c.answers(address, 80, "itself.example", 200)

	for _, name := range []string{"missing", "forbidden"} {
		c.eventually(name+" says why", 30*time.Second, func() error {
			return c.gatewayHas(name, metav1.Condition{Type: "Accepted", Status: "False", Reason: string(gatewayv1.GatewayReasonInvalidParameters)})
		})
	}
}

// serviceOf is the one that Sluice made for the Gateway.
func (c *cluster) serviceOf(gateway string) corev1.Service {
	c.Helper()
	services := must(c.core.CoreV1().Services(c.namespace).List(c.Context(), metav1.ListOptions{LabelSelector: "gateway.networking.k8s.io/gateway-name=" + gateway}))(c).Items
	if len(services) != 1 {
		c.Fatalf("Gateway %s has %d Services", gateway, len(services))
	}
	return services[0]
}

// What somebody changes or removes of a Gateway's Service is mended.
func TestServiceMended(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("route", "gateway", "mend.example", "echo")
	c.answers(address, 80, "mend.example", 200)
	before := c.serviceOf("gateway")

	c.kubectl(nil, "-n", c.namespace, "patch", "service", before.Name, "-p", `{"spec":{"ports":[{"port":80,"targetPort":1}]}}`)
	c.kubectl(nil, "-n", c.namespace, "delete", "endpointslices", "-l", "kubernetes.io/service-name="+before.Name)
	c.eventually("the target port is back", time.Minute, func() error {
		if ports := c.serviceOf("gateway").Spec.Ports; ports[0].TargetPort != before.Spec.Ports[0].TargetPort {
			return fmt.Errorf("the ports are %+v", ports)
		}
		return nil
	})
	c.answers(address, 80, "mend.example", 200)

	c.kubectl(nil, "-n", c.namespace, "delete", "service", before.Name)
	c.eventually("the Service is back", time.Minute, func() error {
		services := must(c.core.CoreV1().Services(c.namespace).List(c.Context(), metav1.ListOptions{LabelSelector: "gateway.networking.k8s.io/gateway-name=gateway"}))(c).Items
		if len(services) != 1 || services[0].UID == before.UID {
			return fmt.Errorf("there are %d", len(services))
		}
		return nil
	})
	c.answers(c.programmed("gateway"), 80, "mend.example", 200)
}

// On the node's own network, listeners bind their own ports at its address, and
// Gateways that want the same share them.
func TestHostNetwork(t *testing.T) {
	c := newCluster(t)
	c.install("hostnetwork", "hostNetwork: true\n")
	c.makeEcho("one", 1)
	c.makeEcho("two", 1)
	low, high := gatewayv1.PortNumber(80), gatewayv1.PortNumber(28080)
	listeners := []gatewayv1.Listener{{Name: "low", Port: low, Protocol: gatewayv1.HTTPProtocolType}, {Name: "high", Port: high, Protocol: gatewayv1.HTTPProtocolType}}
	address := c.makeGateway("one", listeners...)
	if pods := c.replicas(); len(pods) == 0 || pods[0].Status.HostIP != address {
		t.Errorf("the address is %s, not the node's", address)
	}
	if services := must(c.core.CoreV1().Services(c.namespace).List(c.Context(), metav1.ListOptions{LabelSelector: "gateway.networking.k8s.io/gateway-name"}))(c).Items; len(services) != 0 {
		t.Errorf("there is a Service: %+v", services)
	}
	c.makeRoute("one", "one", "host.example", "one")
	for _, port := range []int{int(low), int(high)} {
		c.answers(address, port, "host.example", 200)
	}

	c.create("two", gatewayv1.GatewaySpec{Listeners: listeners[1:]})
	c.eventually("the younger Gateway says that it conflicts", 30*time.Second, func() error {
		return c.conflicted("two", "high")
	})
	if got := c.answeredBy(address, int(high), "host.example"); got != "one" {
		t.Errorf("the older Gateway's port leads to %s", got)
	}
}

// conflicted is nil if the listener says that another one claims the same.
func (c *cluster) conflicted(gateway string, listener gatewayv1.SectionName) error {
	return c.listenerHas(gateway, listener, metav1.Condition{Type: string(gatewayv1.ListenerConditionConflicted), Status: metav1.ConditionTrue, Reason: string(gatewayv1.ListenerReasonHostnameConflict)})
}

// answeredBy is the name of the echo server that the Gateway leads to.
func (c *cluster) answeredBy(address string, port int, hostname string) string {
	c.Helper()
	body := c.body("http://"+net.JoinHostPort(address, strconv.Itoa(port))+"/", hostname)
	return body.Name
}
