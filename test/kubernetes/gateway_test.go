package kubernetes

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// makeGateway creates a Gateway of the installation's class and waits until it is
// programmed. It returns the address that clients use.
func (c *cluster) makeGateway(name string, listeners ...gatewayv1.Listener) string {
	c.Helper()
	c.create(name, gatewayv1.GatewaySpec{Listeners: listeners})
	return c.programmed(name)
}

// create creates a Gateway, of the installation's class where none is named.
func (c *cluster) create(name string, spec gatewayv1.GatewaySpec) {
	c.Helper()
	if spec.GatewayClassName == "" {
		spec.GatewayClassName = gatewayv1.ObjectName(c.installation.class)
	}
	if len(spec.Listeners) == 0 {
		spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}
	}
	must(c.gateway.GatewayV1().Gateways(c.namespace).Create(c.Context(), &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec,
	}, metav1.CreateOptions{}))(c)
}

// programmed waits until the Gateway is, and returns its first address.
func (c *cluster) programmed(name string) (address string) {
	c.Helper()
	c.eventually("Gateway "+name+" is programmed", time.Minute, func() error {
		g, err := c.gateway.GatewayV1().Gateways(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(g.Status.Addresses) == 0 || !meta.IsStatusConditionTrue(g.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
			return fmt.Errorf("its status is %+v", g.Status)
		}
		address = g.Status.Addresses[0].Value
		return nil
	})
	return address
}

// makeRoute creates an HTTPRoute that sends everything for the hostname to the
// Service of that name.
func (c *cluster) makeRoute(name, gateway, hostname, service string) {
	c.Helper()
	if err := c.createRoute(name, gateway, hostname, service); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) createRoute(name, gateway, hostname, service string) error {
	_, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Create(c.Context(), &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(gateway)}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(hostname)},
			Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backend(service)}}},
		},
	}, metav1.CreateOptions{})
	return err
}

// backend refers to port 80 of a Service.
func backend(service string) gatewayv1.HTTPBackendRef {
	return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
		Name: gatewayv1.ObjectName(service), Port: new(gatewayv1.PortNumber(80)),
	}}}
}

// makeEcho runs the program's own echo server behind a Service of that name.
func (c *cluster) makeEcho(name string, replicas int32) {
	c.Helper()
	labels := map[string]string{"app": name}
	must(c.core.AppsV1().Deployments(c.namespace).Create(c.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "echo", Image: image(), ImagePullPolicy: corev1.PullIfNotPresent,
					Args: []string{"echo", "--listen", name + "=0.0.0.0:8000"},
				}}},
			},
		},
	}, metav1.CreateOptions{}))(c)
	must(c.core.CoreV1().Services(c.namespace).Create(c.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8000)}}},
	}, metav1.CreateOptions{}))(c)
	c.eventually("Deployment "+name+" is ready", time.Minute, func() error {
		return c.rolledOut(c.namespace, name)
	})
}

// rolledOut is nil once all Pods of the Deployment are of its newest template, and ready.
func (c *cluster) rolledOut(namespace, name string) error {
	d, err := c.core.AppsV1().Deployments(namespace).Get(contextOf(c), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	want := *d.Spec.Replicas
	if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.ReadyReplicas != want || s.Replicas != want {
		return fmt.Errorf("its status is %+v", s)
	}
	return nil
}

// get asks the address for the hostname's path /, over TLS for port 443, and
// returns the status code.
func get(ctx context.Context, client *http.Client, address string, port int, hostname string) (int, error) {
	scheme := "http"
	if port == 443 {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/", scheme, net.JoinHostPort(address, fmt.Sprint(port))), nil)
	if err != nil {
		return 0, err
	}
	request.Host = hostname
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// newClient makes a client that opens a connection for each request, and shows
// the hostname in TLS without checking who answers: the certificates are the test's.
func newClient(hostname string) *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{ServerName: hostname, InsecureSkipVerify: true},
		},
	}
}

// answers waits until the Gateway answers with the code.
func (c *cluster) answers(address string, port int, hostname string, want int) {
	c.Helper()
	client := newClient(hostname)
	c.eventually(fmt.Sprintf("%s answers %d", hostname, want), time.Minute, func() error {
		got, err := get(c.Context(), client, address, port, hostname)
		if err == nil && got != want {
			err = fmt.Errorf("it answers %d", got)
		}
		return err
	})
}

// body is what an echo server answers with, through a Gateway.
func (c *cluster) body(url, hostname string) (answer struct{ Name string }) {
	c.Helper()
	request := must(http.NewRequestWithContext(c.Context(), http.MethodGet, url, nil))(c)
	request.Host = hostname
	response := must(newClient(hostname).Do(request))(c)
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		c.Fatal(err)
	}
	return answer
}
