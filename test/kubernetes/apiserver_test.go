package kubernetes

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What an installation does whose way to the API server is cut, while the cluster
// goes on: connections cut cost nothing; with the way closed it serves what it
// knows, also from a container that was restarted, but a new Pod is not ready; and
// once the way is open, what has changed meanwhile is served.
func TestAPIServerAway(t *testing.T) {
	c := newCluster(t)
	w := c.newWay()
	c.install("away", "", fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"sluice","env":[
		{"name":"KUBERNETES_SERVICE_HOST","value":%q},{"name":"KUBERNETES_SERVICE_PORT","value":"%d"}]}]}}}}`, w.host, w.port))
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("before", "gateway", "before.example", "echo")
	c.answers(address, 80, "before.example", 200)

	w.cut()
	c.makeRoute("cut", "gateway", "cut.example", "echo")
	c.answers(address, 80, "cut.example", 200)

	w.close()
	l := c.startLoad(address, "before.example", 50)
	c.makeRoute("closed", "gateway", "closed.example", "echo")
	c.logSays("the API server does not answer")
	c.answers(address, 80, "closed.example", 404)
	l.stop(c)

	if pod := c.replicas()[0]; c.killContainer(pod) {
		c.eventually("the container is restarted", time.Minute, func() error { return c.restarted(pod.Name) })
		c.answers(address, 80, "before.example", 200)
		c.answers(address, 80, "closed.example", 404)
	}
	old := c.replicas()[0].Name
	if err := c.core.CoreV1().Pods(c.installation.namespace).Delete(c.Context(), old, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	c.eventually("a new Pod runs that is not ready", time.Minute, func() error { return c.runsUnready(old) })
	c.logSays("the API server does not answer")
	if err := c.runsUnready(old); err != nil {
		t.Error("the new Pod, without a configuration: ", err)
	}

	w.open()
	c.eventually("the new Pod is ready", time.Minute, func() error { return c.rolledOut(c.installation.namespace, c.installation.release) })
	c.answers(address, 80, "closed.example", 200)
	c.answers(address, 80, "before.example", 200)
}

// runsUnready is nil if there is one Pod of another name, and it runs without being ready.
func (c *cluster) runsUnready(old string) error {
	pods := c.replicas()
	if len(pods) != 1 || pods[0].Name == old || pods[0].Status.Phase != corev1.PodRunning {
		return fmt.Errorf("there are %d Pods", len(pods))
	}
	for _, s := range pods[0].Status.ContainerStatuses {
		if s.State.Running == nil {
			return fmt.Errorf("the container is in %+v", s.State)
		}
		if s.Ready {
			return errors.New("it is ready")
		}
	}
	return nil
}

// restarted is nil if a container of the Pod was, and runs.
func (c *cluster) restarted(name string) error {
	pod, err := c.core.CoreV1().Pods(c.installation.namespace).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.RestartCount > 0 && s.State.Running != nil {
			return nil
		}
	}
	return fmt.Errorf("its containers are %+v", pod.Status.ContainerStatuses)
}

// killContainer kills the Pod's first process, if it runs on this machine.
func (c *cluster) killContainer(pod corev1.Pod) bool {
	environments := must(filepath.Glob("/proc/[0-9]*/environ"))(c)
	for _, file := range environments {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), "POD_UID="+string(pod.UID)+"\x00") {
			continue
		}
		pid := must(strconv.Atoi(filepath.Base(filepath.Dir(file))))(c)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.Fatal(err)
		}
		return true
	}
	c.Logf("Pod %s runs elsewhere, and its container is not restarted", pod.Name)
	return false
}

// way is one to the API server that can be closed.
type way struct {
	host string
	port int
	to   string

	mu     sync.Mutex
	closed bool
	pairs  map[net.Conn]net.Conn
}

// newWay opens one through this process. The API server must be at an address of
// this machine, so that its certificate is for the way too.
func (c *cluster) newWay() *way {
	c.Helper()
	server := must(url.Parse(c.config.Host))(c)
	probe, err := net.Dial("tcp", server.Host)
	if err != nil {
		c.Fatal(err)
	}
	probe.Close()
	local, remote := probe.LocalAddr().(*net.TCPAddr), probe.RemoteAddr().(*net.TCPAddr)
	if !local.IP.Equal(remote.IP) || local.IP.IsLoopback() {
		c.Skip("the API server is not on this machine, so no test can stand before it")
	}
	l := must(net.Listen("tcp", net.JoinHostPort(local.IP.String(), "0")))(c)
	w := &way{host: local.IP.String(), port: l.Addr().(*net.TCPAddr).Port, to: server.Host, pairs: map[net.Conn]net.Conn{}}
	c.Cleanup(func() { l.Close(); w.close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.join(conn)
		}
	}()
	return w
}

// join passes bytes on in both directions until one side closes.
func (w *way) join(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.pairs[from] = to
	}
	w.mu.Unlock()
	if closed {
		return
	}
	go func() { _, _ = io.Copy(to, from); to.Close() }()
	_, _ = io.Copy(from, to)
	w.mu.Lock()
	delete(w.pairs, from)
	w.mu.Unlock()
}

// cut ends the connections that there are.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for from, to := range w.pairs {
		from.Close()
		to.Close()
	}
}

// close ends all connections, new ones at once.
func (w *way) close() { w.set(true); w.cut() }

func (w *way) open() { w.set(false) }

func (w *way) set(closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = closed
}

// The API server itself is killed and comes back: no request fails, and what comes
// then is served.
func TestAPIServerKilled(t *testing.T) {
	c := newClusterAlone(t)
	const folder = "/run/cluster" // of test/cluster
	pid, err := os.ReadFile(folder + "/pids/kube-apiserver")
	if err != nil {
		t.Skip("the API server is not one of test/cluster's: ", err)
	}
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	c.makeRoute("before", "gateway", "before.example", "echo")
	c.answers(address, 80, "before.example", 200)

	held := folder + "/held/kube-apiserver"
	if err := os.WriteFile(held, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(held)
	l := c.startLoad(address, "before.example", 100)
	if err := syscall.Kill(must(strconv.Atoi(strings.TrimSpace(string(pid))))(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.eventually("the API server is gone", 10*time.Second, func() error {
		if _, err := c.core.Discovery().ServerVersion(); err == nil {
			return errors.New("it answers")
		}
		return nil
	})
	time.Sleep(5 * time.Second) // how long it stays away
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
	c.eventually("the API server is back", time.Minute, func() error {
		_, err := c.gateway.GatewayV1().Gateways(c.namespace).Get(c.Context(), "gateway", metav1.GetOptions{})
		return err
	})
	c.makeRoute("after", "gateway", "after.example", "echo")
	c.answers(address, 80, "after.example", 200)
	c.eventually("statuses are written", time.Minute, func() error { return c.routeAccepted("after") })
	l.stop(c)
}
