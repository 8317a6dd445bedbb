package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var (
	reading = []string{"get", "list", "watch"}
	writing = []string{"create", "delete", "deletecollection", "patch", "update"}
)

// matrix has a column for each role of docs/cluster/roles.md and for those that
// are extended: r may read, w may read and write, - may do neither. Resources
// without a group are in sluice.dev, gateway.networking.k8s.io or the core.
const matrix = `
                                     viewer developer granter operator provider | view edit admin
httproutes                           r      w         -       w        w          r    w    w
grpcroutes                           r      w         -       w        w          r    w    w
tlsroutes                            r      w         -       w        w          r    w    w
tcproutes                            r      w         -       w        w          r    w    w
udproutes                            r      w         -       w        w          r    w    w
listenersets                         r      w         -       w        w          r    w    w
backendtlspolicies                   r      w         -       w        w          r    w    w
xbackends.gateway.networking.x-k8s.io              r w - w w  r    w    w
xbackendtrafficpolicies.gateway.networking.x-k8s.io r w - w w r    w    w
backends.sluice.dev                  r      w         -       w        w          r    w    w
gateways                             r      r         -       w        w          r    r    r
clientpolicies.sluice.dev            r      r         -       w        w          r    r    r
referencegrants                      r      r         o       w        w          r    r    w
gatewayclasses                       r      r         -       r        w          r    r    r
gatewayparameters.sluice.dev         r      r         -       r        w          r    r    r
customresourcedefinitions.apiextensions.k8s.io     - - - - r  -    -    -
httproutes/status                    -      -         -       -        -          -    -    -
gateways/status                      -      -         -       -        -          -    -    -
gatewayclasses/status                -      -         -       -        -          -    -    -
listenersets/status                  -      -         -       -        -          -    -    -
backendtlspolicies/status            -      -         -       -        -          -    -    -
backends.sluice.dev/status           -      -         -       -        -          -    -    -
clientpolicies.sluice.dev/status     -      -         -       -        -          -    -    -
configmaps.                          -      -         -       -        -          r    w    w
secrets.                             -      -         -       -        -          -    w    w
services.                            -      -         -       -        -          r    w    w
pods.                                -      -         -       -        -          r    w    w
rolebindings.rbac.authorization.k8s.io - -            -       -        -          -    -    w
`

// roleOf is the ClusterRole of a column of the matrix.
var roleOf = map[string]string{
	"viewer": "sluice-viewer", "developer": "sluice-application-developer", "granter": "sluice-reference-granter",
	"operator": "sluice-cluster-operator", "provider": "sluice-infrastructure-provider",
	"view": "view", "edit": "edit", "admin": "admin",
}

// Whoever has a role in a namespace may do there what the matrix says, and
// nothing more: each verb on each resource is asked of the API server.
func TestRoles(t *testing.T) {
	c := newCluster(t)
	lines := strings.Split(strings.TrimSpace(matrix), "\n")
	columns := strings.Fields(strings.Replace(lines[0], "|", "", 1))
	users := map[string]*cluster{}
	for _, column := range columns {
		users[column] = c.bind(column, roleOf[column])
	}
	c.eventually("the roles are bound, and aggregated", 30*time.Second, func() error {
		if !users["view"].may("get", "httproutes") {
			return fmt.Errorf("view may not read routes")
		}
		return nil
	})
	var asking sync.WaitGroup
	questions := 0
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		if len(cells) != len(columns)+1 {
			t.Fatalf("the line %q has %d cells", line, len(cells))
		}
		for i, column := range columns {
			allowed := map[string][]string{"-": nil, "r": reading, "o": writing, "w": slices.Concat(reading, writing)}[cells[i+1]]
			questions += len(reading) + len(writing)
			asking.Go(func() {
				for _, verb := range slices.Concat(reading, writing) {
					if got, want := users[column].may(verb, cells[0]), slices.Contains(allowed, verb); got != want {
						t.Errorf("%s may %s %s: %v, want %v", column, verb, cells[0], got, want)
					}
				}
			})
		}
	}
	asking.Wait()
	t.Logf("%d questions", questions)
}

// bind gives a new user the role in the test's namespace, and is the cluster as
// that user sees it.
func (c *cluster) bind(user, role string) *cluster {
	c.Helper()
	must(c.core.RbacV1().RoleBindings(c.namespace).Create(c.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "test:" + user}},
	}, metav1.CreateOptions{}))(c)
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "test:" + user, Groups: []string{"system:authenticated"}}
	seen := as(c.T, config)
	seen.namespace = c.namespace
	return seen
}

// may asks whether the user may, in the test's namespace.
func (c *cluster) may(verb, resource string) bool {
	resource, subresource, _ := strings.Cut(resource, "/")
	resource, group, named := strings.Cut(resource, ".")
	if !named {
		group = gatewayv1.GroupName
	}
	review := must(c.core.AuthorizationV1().SelfSubjectAccessReviews().Create(c.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: c.namespace, Verb: verb, Group: group, Resource: resource, Subresource: subresource,
		}},
	}, metav1.CreateOptions{}))(c)
	return review.Status.Allowed
}

// Three people work as the three roles: real requests, not only questions.
func TestPeople(t *testing.T) {
	c := newCluster(t)
	developer := c.bind("ana", roleOf["developer"])
	operator := c.bind("chihiro", roleOf["operator"])
	c.makeEcho("echo", 1)
	address := ""

	c.eventually("the operator makes a Gateway", 30*time.Second, func() error {
		_, err := operator.gateway.GatewayV1().Gateways(c.namespace).Create(c.Context(), &gatewayv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Name: "gateway"},
			Spec: gatewayv1.GatewaySpec{GatewayClassName: "sluice", Listeners: []gatewayv1.Listener{
				{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType},
			}},
		}, metav1.CreateOptions{})
		return err
	})
	address = c.programmed("gateway")
	developer.makeRoute("route", "gateway", "people.example", "echo")
	c.answers(address, 80, "people.example", 200)

	gateways := developer.gateway.GatewayV1().Gateways(c.namespace)
	must(gateways.Get(c.Context(), "gateway", metav1.GetOptions{}))(t)
	for what, err := range map[string]error{
		"the developer deletes a Gateway":       gateways.Delete(c.Context(), "gateway", metav1.DeleteOptions{}),
		"the operator deletes the GatewayClass": operator.gateway.GatewayV1().GatewayClasses().Delete(c.Context(), "sluice", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}),
		"the developer lists Secrets":           second(developer.core.CoreV1().Secrets(c.namespace).List(c.Context(), metav1.ListOptions{})),
		"the operator lists Secrets":            second(operator.core.CoreV1().Secrets(c.namespace).List(c.Context(), metav1.ListOptions{})),
		"the developer makes a route elsewhere": second(developer.gateway.GatewayV1().HTTPRoutes("default").Create(c.Context(), &gatewayv1.HTTPRoute{
			ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
