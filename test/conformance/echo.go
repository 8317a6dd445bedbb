package conformance

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const podAddress = "127.0.0.1"

// podSuffix takes the place of the two parts that Kubernetes adds to the name of a
// Deployment; HTTPRouteWeight cuts two parts off.
const podSuffix = "-pod-0"

// patience is how long a pod may take until it serves.
const patience = 10 * time.Second

// pods are the backends that run.
type pods struct {
	program string // the path of echo-basic

	mu    sync.Mutex
	byApp map[types.NamespacedName]*pod // by namespace and the value of the label "app"
}

// newPods builds echo-basic. Its processes end with the test.
func newPods(t *testing.T) *pods {
	program, err := exec.Command("go", "tool", "-n", "echo-basic").Output()
	if err != nil {
		t.Fatalf("building echo-basic: %v", err)
	}
	p := &pods{program: strings.TrimSpace(string(program)), byApp: map[types.NamespacedName]*pod{}}
	t.Cleanup(func() {
		for _, pod := range p.byApp {
			pod.stop()
		}
	})
	return p
}

// of is the pod that a Service selects, or nil.
func (p *pods) of(service *corev1.Service) *pod {
	return p.byName(service.Namespace, service.Spec.Selector["app"])
}

func (p *pods) byName(namespace, app string) *pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byApp[types.NamespacedName{Namespace: namespace, Name: app}]
}

// start runs a pod and waits until it serves. The first one, infra-backend-v1,
// listens where its image does, because HTTPRouteServiceTypes has EndpointSlices
// that say so; the others next to it, as they share an address.
func (p *pods) start(d *appsv1.Deployment, environment []string) (*pod, error) {
	app := d.Spec.Template.Labels["app"]
	p.mu.Lock()
	started := &pod{namespace: d.Namespace, app: app, offset: int32(10 * len(p.byApp))}
	p.byApp[types.NamespacedName{Namespace: d.Namespace, Name: app}] = started
	p.mu.Unlock()
	return started, started.run(p.program, environment)
}

// pod is a process of echo-basic.
type pod struct {
	namespace, app string
	offset         int32 // of its ports from those of its image
	process        *exec.Cmd

	mu  sync.Mutex
	log []logged
}

// logged is what a pod printed at a time.
type logged struct {
	at   time.Time
	text []byte
}

func (p *pod) run(program string, environment []string) error {
	p.process = exec.Command(program)
	p.process.Env = append([]string{
		fmt.Sprint("HTTP_PORT=", p.port(3000)), fmt.Sprint("H2C_PORT=", p.port(3001)), fmt.Sprint("HTTPS_PORT=", p.port(8443)),
		"NAMESPACE=" + p.namespace, "POD_NAME=" + p.name(), "SERVICE_NAME=" + p.app,
	}, environment...)
	p.process.Stdout, p.process.Stderr = p, p
	// A process must not outlive one that a time limit ends.
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.process.Start(); err != nil {
		return err
	}
	ports := []int32{p.port(3000)}
	if slices.ContainsFunc(environment, func(variable string) bool { return strings.HasPrefix(variable, "TLS_SERVER_CERT=") }) {
		ports = append(ports, p.port(8443))
	}
	return p.awaitReady(ports)
}

func (p *pod) stop() {
	if p.process.Process != nil {
		p.process.Process.Kill()
		p.process.Wait()
	}
}

// awaitReady waits until the pod listens.
func (p *pod) awaitReady(ports []int32) error {
	deadline := time.Now().Add(patience)
	for _, port := range ports {
		for {
			connection, err := net.Dial("tcp", net.JoinHostPort(podAddress, fmt.Sprint(port)))
			if err == nil {
				connection.Close()
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("pod %s/%s does not serve: %w; it printed: %s", p.namespace, p.name(), err, p.since(time.Time{}))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

func (p *pod) name() string { return p.app + podSuffix }

// port is where the pod listens for what its image has at a port.
func (p *pod) port(target int32) int32 { return target + p.offset }

// Write keeps what the process prints.
func (p *pod) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, logged{time.Now(), bytes.Clone(text)})
	return len(text), nil
}

// since is what the process printed from then on.
func (p *pod) since(then time.Time) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text []byte
	for _, entry := range p.log {
		if !entry.at.Before(then) {
			text = append(text, entry.text...)
		}
	}
	return text
}

// object is the pod as the API server has it.
func (p *pod) object() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name(), Labels: map[string]string{"app": p.app}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIPs:     []corev1.PodIP{{IP: podAddress}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

// deploy runs the pod of a Deployment for the Services that select it, once there
// are the files that it mounts.
func (c *cluster) deploy(ctx context.Context, d *appsv1.Deployment) error {
	if !isEcho(d) {
		return nil
	}
	environment, err := c.environment(ctx, d)
	if apierrors.IsNotFound(err) {
		c.waiting = append(c.waiting, d)
		return nil
	} else if err != nil {
		return err
	}
	pod, err := c.pods.start(d, environment)
	if err != nil {
		return err
	}
	if err := c.add(ctx, pod.object()); err != nil {
		return err
	}
	var services corev1.ServiceList
	if err := c.store.List(ctx, &services, client.InNamespace(d.Namespace)); err != nil {
		return err
	}
	for i := range services.Items {
		if err := c.connect(ctx, &services.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// deployWaiting tries again what has waited for its files.
func (c *cluster) deployWaiting(ctx context.Context) error {
	waiting := c.waiting
	c.waiting = nil
	for _, d := range waiting {
		if err := c.deploy(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// connect writes the EndpointSlice of a Service that selects a pod.
func (c *cluster) connect(ctx context.Context, service *corev1.Service) error {
	pod := c.pods.of(service)
	if pod == nil {
		return nil
	}
	slice := newSlice(service)
	slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{podAddress}}}
	for _, port := range service.Spec.Ports {
		target := pod.port(cmp.Or(port.TargetPort.IntVal, port.Port))
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(port.Name), Port: new(target)})
	}
	err := c.add(ctx, slice)
	if apierrors.IsAlreadyExists(err) {
		return nil // a Service of the suite keeps its ports
	}
	return err
}

// newSlice is the EndpointSlice of a Service, without endpoints.
func newSlice(service *corev1.Service) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name + "-pods",
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
}

// newLogReader is a client for the logs of pods, which the suite reads to find
// mirrored requests.
func newLogReader(t *testing.T, p *pods) kubernetes.Interface {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods/{pod}/log", func(w http.ResponseWriter, r *http.Request) {
		pod := p.byName(r.PathValue("namespace"), strings.TrimSuffix(r.PathValue("pod"), podSuffix))
		since, err := time.Parse(time.RFC3339, r.FormValue("sinceTime"))
		if pod == nil || err != nil {
			http.Error(w, fmt.Sprintf("no log of pod %s since %v", r.PathValue("pod"), err), http.StatusNotFound)
			return
		}
		w.Write(pod.since(since))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	reader, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return reader
}
