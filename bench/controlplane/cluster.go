package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayclient "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
	gatewaytyped "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned/typed/apis/v1"
)

// bench is the cluster, and what a driver makes in it.
type bench struct {
	options
	report    report
	core      kubernetes.Interface
	gateways  gatewaytyped.GatewayV1Interface
	namespace string // of the driver that runs
}

func newBench(ctx context.Context, o options) (*bench, error) {
	rest, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	rest.QPS = -1 // The server is measured, not this client.
	core, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, err
	}
	gateways, err := gatewayclient.NewForConfig(rest)
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, core: core, gateways: gateways.GatewayV1()}
	b.report.machine, err = b.machine(ctx)
	return b, err
}

// machine says what is measured on.
func (b *bench) machine(ctx context.Context) (string, error) {
	nodes, err := b.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		return "", fmt.Errorf("the cluster's nodes: %w", cmp.Or(err, errors.New("there are none")))
	}
	node := nodes.Items[0].Status
	load, _ := os.ReadFile("/proc/loadavg") // it is only told
	average, _, _ := strings.Cut(string(load), " ")
	kernel, _, _ := strings.Cut(node.NodeInfo.KernelVersion, "-") // what distributions append says nothing here
	return fmt.Sprintf("Nodes: %d, with %s processors, Linux %s, Kubernetes %s. The load average of the drivers' machine was %s when they began.",
		len(nodes.Items), node.Capacity.Cpu(), kernel, node.NodeInfo.KubeletVersion, cmp.Or(average, "unknown")), nil
}

// inNamespace runs fn, for so long as a driver may take, with a namespace of its
// own, and removes that whatever happens.
func (b *bench) inNamespace(ctx context.Context, name string, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b.namespace = name
	if err := b.createNamespace(ctx, name); err != nil {
		return err
	}
	return errors.Join(fn(ctx), b.deleteNamespace(name))
}

// createNamespace removes first what an earlier run has left.
func (b *bench) createNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := b.core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := b.deleteNamespace(name); err != nil {
		return err
	}
	_, err = b.core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}

// deleteNamespace deletes a namespace and waits until it is gone, so that what one
// driver leaves costs the next nothing. It does so also when the program is to end.
func (b *bench) deleteNamespace(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	namespaces := b.core.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		return fmt.Errorf("namespace %s is not removed: %w", name, err)
	}
	return nil
}

// gateway creates a Gateway with one HTTP listener, waits until it is programmed,
// and returns where it is reached.
func (b *bench) gateway(ctx context.Context, name string) (address string, err error) {
	all := gatewayv1.NamespacesFromAll
	_, err = b.gateways.Gateways(b.namespace).Create(ctx, &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: gatewayv1.ObjectName(b.class),
			Listeners: []gatewayv1.Listener{{
				Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType,
				AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		g, err := b.gateways.Gateways(b.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(g.Status.Addresses) == 0 || !meta.IsStatusConditionTrue(g.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
			return false, err
		}
		address = g.Status.Addresses[0].Value
		return true, nil
	})
	if err != nil {
		return "", fmt.Errorf("the Gateway %s/%s is not programmed: %w", b.namespace, name, err)
	}
	return address, nil
}

// echo runs a backend of one Pod, whose Service has the ports 80, where it says
// that its name is first, and 8080, where it is second.
func (b *bench) echo(ctx context.Context, name string) error {
	labels := map[string]string{"app": name}
	_, err := b.core.AppsV1().Deployments(b.namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "echo", Image: b.image, ImagePullPolicy: corev1.PullIfNotPresent,
					Args: []string{"echo", "--listen", "first=0.0.0.0:8000", "--listen", "second=0.0.0.0:8001"},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if _, err := b.core.CoreV1().Services(b.namespace).Create(ctx, service(name, labels), metav1.CreateOptions{}); err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		d, err := b.core.AppsV1().Deployments(b.namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas == 1, err
	})
	if err != nil {
		return fmt.Errorf("the Deployment %s/%s is not ready: %w", b.namespace, name, err)
	}
	return nil
}

func service(name string, selector map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: selector,
			Ports: []corev1.ServicePort{
				{Name: "first", Port: 80, TargetPort: intstr.FromInt32(8000)},
				{Name: "second", Port: 8080, TargetPort: intstr.FromInt32(8001)},
			},
		},
	}
}

// route is an HTTPRoute on the Gateway to the backend's port 80.
func (b *bench) route(name, gateway, hostname, backend string) *gatewayv1.HTTPRoute {
	namespace := gatewayv1.Namespace(b.namespace)
	return &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(gateway), Namespace: &namespace}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(hostname)},
			Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backendRef(backend, 80)}}},
		},
	}
}

func backendRef(name string, port gatewayv1.PortNumber) gatewayv1.HTTPBackendRef {
	return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(name), Port: &port},
	}}
}
