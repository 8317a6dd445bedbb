package kubernetes

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Two controllers on one route each write their own entry and leave the other's
// alone, and what both have said is not said again.
func TestTwoControllers(t *testing.T) {
	c := newCluster(t)
	c.makeEcho("echo", 1)
	ours := c.makeGateway("ours")
	c.install("second", "")
	theirs := c.makeGateway("theirs")
	both := c.count(func(ctx context.Context) (watch.Interface, error) {
		return c.gateway.GatewayV1().HTTPRoutes(c.namespace).Watch(ctx, metav1.ListOptions{})
	})
	must(c.gateway.GatewayV1().HTTPRoutes(c.namespace).Create(c.Context(), &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "both"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "ours"}, {Name: "theirs"}}},
			Hostnames:       []gatewayv1.Hostname{"both.example"},
			Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backend("echo")}}},
		},
	}, metav1.CreateOptions{}))(c)
	for _, address := range []string{ours, theirs} {
		c.answers(address, 80, "both.example", 200)
	}
	c.eventually("both have written", 30*time.Second, func() error {
		if err := c.routeAccepted("both"); err != nil {
			return err
		}
		r := must(c.gateway.GatewayV1().HTTPRoutes(c.namespace).Get(c.Context(), "both", metav1.GetOptions{}))(t)
		for _, p := range r.Status.Parents {
			if want := map[gatewayv1.ObjectName]string{"ours": shared.controller, "theirs": c.installation.controller}[p.ParentRef.Name]; string(p.ControllerName) != want {
				return fmt.Errorf("parent %s is of %s", p.ParentRef.Name, p.ControllerName)
			}
		}
		return nil
	})
	time.Sleep(3 * time.Second) // in which nothing should happen
	// The creation, one write of each, and what a conflict may cost.
	if n := both.stop(); n > 5 {
		t.Errorf("the route was written %d times", n)
	}
}

// counter counts events of a watch.
type counter struct {
	cancel context.CancelFunc
	total  chan int
}

// count begins to.
func (c *cluster) count(begin func(context.Context) (watch.Interface, error)) counter {
	c.Helper()
	ctx, cancel := context.WithCancel(c.Context())
	events := must(begin(ctx))(c)
	counting := counter{cancel, make(chan int, 1)}
	go func() {
		n := 0
		for range events.ResultChan() {
			n++
		}
		counting.total <- n
	}()
	return counting
}

func (c counter) stop() int {
	c.cancel()
	return <-c.total
}

// A thousand routes that attach to a Gateway cost its status few writes.
func TestAttachedRoutes(t *testing.T) {
	c := newCluster(t)
	c.makeGateway("gateway")
	const routes, most = 1000, 50
	writes := c.count(func(ctx context.Context) (watch.Interface, error) {
		return c.gateway.GatewayV1().Gateways(c.namespace).Watch(ctx, metav1.ListOptions{})
	})
	start := time.Now()
	work := make(chan int)
	for range 20 {
		go func() {
			for i := range work {
				if err := c.createRoute(fmt.Sprint("route-", i), "gateway", fmt.Sprintf("h%d.example", i), "echo"); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := range routes {
		work <- i
	}
	close(work)
	created := time.Since(start)
	c.eventually("all routes are counted", time.Minute, func() error {
		g, err := c.gateway.GatewayV1().Gateways(c.namespace).Get(c.Context(), "gateway", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if n := g.Status.Listeners[0].AttachedRoutes; n != routes {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	counted := time.Since(start)
	n := writes.stop() - 1 // without the Gateway itself, which a watch begins with
	t.Logf("%d routes in %v, counted after %v, %d writes to the Gateway", routes, created.Round(time.Millisecond), counted.Round(time.Millisecond), n)
	if n >= most {
		t.Errorf("the Gateway was written %d times, not fewer than %d", n, most)
	}
}
