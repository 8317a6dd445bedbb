package kubernetes

import (
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A status that RBAC does not let Sluice write costs the status alone: routes
// are served, the log says which rule is missing, and once it is there the status is too.
func TestStatusForbidden(t *testing.T) {
	c := newCluster(t)
	c.install("forbidden", "")
	c.makeEcho("echo", 1)
	address := c.makeGateway("gateway")
	give := c.takeRule("gateway.networking.k8s.io", "httproutes/status")
	defer give()

	c.makeRoute("route", "gateway", "rbac.example", "echo")
	c.answers(address, 80, "rbac.example", 200)
	c.logSays("httproutes/status")
	if err := c.routeAccepted("route"); err == nil {
		t.Error("the status is written without the right to")
	}
	give()
	c.eventually("the status is written", 2*time.Minute, func() error { return c.routeAccepted("route") })
}

// takeRule removes the resource from the rules of Sluice's ClusterRoles and
// returns what gives it back.
func (c *cluster) takeRule(group, resource string) (give func()) {
	c.Helper()
	roles := c.core.RbacV1().ClusterRoles()
	var before []rbacv1.ClusterRole
	for _, role := range must(roles.List(c.Context(), metav1.ListOptions{}))(c).Items {
		if changed, ok := without(role, group, resource); ok && role.Name == c.installation.release {
			before = append(before, role)
			must(roles.Update(c.Context(), &changed, metav1.UpdateOptions{}))(c)
		}
	}
	if len(before) == 0 {
		c.Fatalf("Sluice's ClusterRole has not %s %s", group, resource)
	}
	return func() {
		for _, role := range before {
			role.ResourceVersion = ""
			must(roles.Update(contextOf(c), &role, metav1.UpdateOptions{}))(c)
		}
	}
}

// without is the role without the resource, and whether it had it.
func without(role rbacv1.ClusterRole, group, resource string) (rbacv1.ClusterRole, bool) {
	changed, had := *role.DeepCopy(), false
	for i, rule := range changed.Rules {
		var rest []string
		for _, r := range rule.Resources {
			if r == resource && len(rule.APIGroups) == 1 && rule.APIGroups[0] == group {
				had = true
				continue
			}
			rest = append(rest, r)
		}
		changed.Rules[i].Resources = rest
	}
	return changed, had
}
