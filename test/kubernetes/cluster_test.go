package kubernetes

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	gatewayclient "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
)

// cluster is the one of KUBECONFIG.
type cluster struct {
	*testing.T
	config  *rest.Config
	core    kubernetes.Interface
	gateway gatewayclient.Interface
	dynamic dynamic.Interface
	// namespace is the test's own.
	namespace string
	// installation is the one that the test uses.
	installation installation
}

// newCluster is for a test that runs beside others.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := connect(t)
	t.Parallel()
	c.makeNamespace()
	return c
}

// newClusterAlone is for a test that runs before all that run beside each other.
func newClusterAlone(t *testing.T) *cluster {
	t.Helper()
	c := connect(t)
	c.makeNamespace()
	return c
}

// connect skips the test where there is no cluster.
func connect(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG names no cluster; ./run brings one up")
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return as(t, config)
}

// as is the cluster as the user of the configuration sees it.
func as(t *testing.T, config *rest.Config) *cluster {
	t.Helper()
	config.QPS = -1
	return &cluster{
		T: t, config: config,
		core:    must(kubernetes.NewForConfig(config))(t),
		gateway: must(gatewayclient.NewForConfig(config))(t),
		dynamic: must(dynamic.NewForConfig(config))(t), installation: shared,
	}
}

// must returns the value, or ends the test.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// makeNamespace gives the test a namespace of its own, and takes it away at its end.
func (c *cluster) makeNamespace() {
	c.Helper()
	namespaces := c.core.CoreV1().Namespaces()
	prefix := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(c.Name()))
	made := must(namespaces.Create(c.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: prefix[:min(len(prefix), 40)] + "-"},
	}, metav1.CreateOptions{}))(c)
	c.namespace = made.Name
	c.Cleanup(func() { _ = namespaces.Delete(context.Background(), made.Name, metav1.DeleteOptions{}) })
}

// contextOf is the test's context while it runs, and one without end in its cleanup.
func contextOf(c *cluster) context.Context {
	if ctx := c.Context(); ctx.Err() == nil {
		return ctx
	}
	return context.Background()
}

// eventually waits until check returns nil, and ends the test if it never does.
func (c *cluster) eventually(what string, limit time.Duration, check func() error) {
	c.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	c.Fatalf("%s: not within %v: %v", what, limit, err)
}
