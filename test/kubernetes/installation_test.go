package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// installation is one of Sluice in the cluster.
type installation struct {
	// release is the name of its Deployment, namespace where it is, class that of
	// its GatewayClass, and controller what it calls itself in statuses.
	release, namespace, class, controller string
}

// shared is what the tests share that leave it as it is.
var shared = installation{"sluice", "sluice-system", "sluice", "sluice.dev/gateway-controller"}

// image is what the installations run.
func image() string {
	if name := os.Getenv("SLUICE_IMAGE"); name != "" {
		return name
	}
	return "sluice:dev"
}

// repository is the folder of the repository, which the tests were built in.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../..")
}

// install has the test use an installation of its own from now on, until its end,
// with values for the chart. Patches change its Deployment before it is waited for.
func (c *cluster) install(name, values string, patches ...string) {
	c.Helper()
	c.installation = installation{name, "sluice-" + name, name, "test.example/" + name}
	c.Cleanup(c.uninstall)
	if c.apply(values); len(patches) == 0 {
		patches = []string{`{}`}
	}
	for _, patch := range patches {
		c.patchDeployment(patch)
	}
	c.eventually("Sluice is rolled out", time.Minute, func() error { return c.rolledOut(c.installation.namespace, name) })
}

// apply renders the installation and applies it.
func (c *cluster) apply(values string) {
	c.Helper()
	i := c.installation
	file := filepath.Join(c.TempDir(), "values.yaml")
	own := fmt.Sprintf("\ncontrollerName: %s\nroles: false\n", i.controller)
	if !strings.Contains(values, "gatewayClasses:") {
		own += fmt.Sprintf("gatewayClasses: {sluice: null, %s: {}}\n", i.class)
	}
	if err := os.WriteFile(file, []byte(values+own), 0o600); err != nil {
		c.Fatal(err)
	}
	name, tag, _ := strings.Cut(image(), ":")
	render := exec.Command(filepath.Join(repository(), "build/deploy"), "render", "--release", i.release, "--namespace", i.namespace,
		"--values", file, "--set", "image.repository="+name+",image.tag="+tag)
	render.Dir = filepath.Join(repository(), "test/deploy")
	var wrong bytes.Buffer
	render.Stderr = &wrong
	manifests, err := render.Output()
	if err != nil {
		c.Fatalf("rendering: %v\n%s", err, wrong.Bytes())
	}
	c.kubectl(manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// uninstall removes all but the definitions, which others need. Of a test that
// failed it keeps the end of the logs.
func (c *cluster) uninstall() {
	if c.Failed() {
		logs := c.kubectl(nil, "-n", c.installation.namespace, "logs", "--tail=-1", "-l", "sluice.dev/replica=true")
		c.Log(strings.Join(slices.DeleteFunc(strings.SplitAfter(logs, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "{") // of the access log
		}), ""))
	}
	c.kubectl(nil, "delete", "--wait=false", "gatewayclasses,clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance="+c.installation.release)
	c.kubectl(nil, "delete", "--wait=false", "namespace", c.installation.namespace)
}

// kubectl runs it and returns what it prints.
func (c *cluster) kubectl(stdin []byte, args ...string) string {
	c.Helper()
	command := exec.Command("kubectl", args...)
	command.Stdin = bytes.NewReader(stdin)
	output, err := command.CombinedOutput()
	if err != nil {
		c.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

// patchDeployment changes the installation's.
func (c *cluster) patchDeployment(patch string) {
	c.Helper()
	i := c.installation
	must(c.core.AppsV1().Deployments(i.namespace).Patch(contextOf(c), i.release, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}))(c)
}

// replicas are the Pods of the installation.
func (c *cluster) replicas() []corev1.Pod {
	c.Helper()
	return must(c.core.CoreV1().Pods(c.installation.namespace).List(contextOf(c), metav1.ListOptions{LabelSelector: "sluice.dev/replica=true"}))(c).Items
}

// leader is the name of the Pod that leads.
func (c *cluster) leader() string {
	c.Helper()
	lease := must(c.core.CoordinationV1().Leases(c.installation.namespace).Get(contextOf(c), "sluice", metav1.GetOptions{}))(c)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// logSays waits until a Pod of the installation has logged the words.
func (c *cluster) logSays(words string) {
	c.Helper()
	c.eventually("the log says "+words, time.Minute, func() error {
		pods := c.replicas()
		for _, pod := range pods {
			log, err := c.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(context.Background())
			if err == nil && strings.Contains(string(log), words) {
				return nil
			}
		}
		return fmt.Errorf("none of %d Pods says it", len(pods))
	})
}
