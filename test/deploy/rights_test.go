package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The verbs of Sluice's ServiceAccount, by group and resource. Each has a use;
// what is not here is refused.
const (
	everywhere = `
/configmaps: get list watch
/namespaces: list watch
/secrets: get list watch
/services: create delete list patch watch
apiextensions.k8s.io/customresourcedefinitions: list watch
discovery.k8s.io/endpointslices: create delete list patch watch
gateway.networking.k8s.io/backendtlspolicies/status: patch
gateway.networking.k8s.io/backendtlspolicies: list watch
gateway.networking.k8s.io/gatewayclasses/status: patch
gateway.networking.k8s.io/gatewayclasses: list watch
gateway.networking.k8s.io/gateways/status: patch
gateway.networking.k8s.io/gateways: list watch
gateway.networking.k8s.io/grpcroutes/status: patch
gateway.networking.k8s.io/grpcroutes: list watch
gateway.networking.k8s.io/httproutes/status: patch
gateway.networking.k8s.io/httproutes: list watch
gateway.networking.k8s.io/listenersets/status: patch
gateway.networking.k8s.io/listenersets: list watch
gateway.networking.k8s.io/referencegrants: list watch
gateway.networking.k8s.io/tcproutes/status: patch
gateway.networking.k8s.io/tcproutes: list watch
gateway.networking.k8s.io/tlsroutes/status: patch
gateway.networking.k8s.io/tlsroutes: list watch
gateway.networking.k8s.io/udproutes/status: patch
gateway.networking.k8s.io/udproutes: list watch
sluice.dev/backends/status: patch
sluice.dev/backends: list watch
sluice.dev/clientpolicies/status: patch
sluice.dev/clientpolicies: list watch
sluice.dev/gatewayparameters: list watch
`
	ownNamespace = `
/pods: list watch
coordination.k8s.io/leases: create get list patch update watch
`
)

func TestRights(t *testing.T) {
	for name, i := range variants(t) {
		t.Run(name, func(t *testing.T) {
			all := objects(t, i)
			binding, namespaced := only[*rbacv1.ClusterRoleBinding](t, all), only[*rbacv1.RoleBinding](t, all)
			for _, subjects := range [][]rbacv1.Subject{binding.Subjects, namespaced.Subjects} {
				want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "sluice", Namespace: i.namespace}}
				if diff := cmp.Diff(want, subjects); diff != "" {
					t.Errorf("who has the rights:\n%s", diff)
				}
			}
			if binding.RoleRef.Kind != "ClusterRole" || namespaced.RoleRef.Kind != "Role" {
				t.Errorf("the bindings are of %s and %s", binding.RoleRef.Kind, namespaced.RoleRef.Kind)
			}
			role := only[*rbacv1.Role](t, all)
			if role.Name != namespaced.RoleRef.Name {
				t.Errorf("%s is bound, not %s", namespaced.RoleRef.Name, role.Name)
			}
			if diff := cmp.Diff(strings.Fields(everywhere), strings.Fields(describe(roleRules(all, binding.RoleRef.Name)))); diff != "" {
				t.Errorf("rights in the cluster:\n%s", diff)
			}
			if diff := cmp.Diff(strings.Fields(ownNamespace), strings.Fields(describe(role.Rules))); diff != "" {
				t.Errorf("rights in the own namespace:\n%s", diff)
			}
		})
	}
}

// describe writes a line for each resource with its verbs.
func describe(rules []rbacv1.PolicyRule) string {
	var lines []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				lines = append(lines, fmt.Sprintf("%s/%s: %s %s\n", group, resource, strings.Join(slices.Sorted(slices.Values(rule.Verbs)), " "),
					strings.Join(append(rule.ResourceNames, rule.NonResourceURLs...), " ")))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// roleRules are the rules of a ClusterRole.
func roleRules(all []client.Object, name string) []rbacv1.PolicyRule {
	for _, role := range each[*rbacv1.ClusterRole](all) {
		if role.Name == name {
			return role.Rules
		}
	}
	return nil
}

// builtIn are the rules that are added to a role which every cluster has. View
// is a part of edit, and edit of admin.
func builtIn(all []client.Object, name string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, part := range []string{"view", "edit", "admin"} {
		for _, role := range each[*rbacv1.ClusterRole](all) {
			if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+part] == "true" {
				rules = append(rules, role.Rules...)
			}
		}
		if part == name {
			break
		}
	}
	return rules
}

// TestRoles holds who may read and write what, as docs/cluster/roles.md says it.
// Whoever may do anything with a kind at all may read it.
func TestRoles(t *testing.T) {
	const developer, operator, provider = "sluice-application-developer", "sluice-cluster-operator", "sluice-infrastructure-provider"
	all := objects(t, &installation{namespace: defaultNamespace})
	roles := map[string][]rbacv1.PolicyRule{
		"view": builtIn(all, "view"), "edit": builtIn(all, "edit"), "admin": builtIn(all, "admin"),
		developer: roleRules(all, developer), operator: roleRules(all, operator), provider: roleRules(all, provider),
	}
	routes := []string{"edit", "admin", developer, operator, provider}
	for resource, writers := range map[string][]string{
		"gateway.networking.k8s.io/httproutes":                routes,
		"gateway.networking.k8s.io/grpcroutes":                routes,
		"gateway.networking.k8s.io/tlsroutes":                 routes,
		"gateway.networking.k8s.io/tcproutes":                 routes,
		"gateway.networking.k8s.io/udproutes":                 routes,
		"gateway.networking.k8s.io/listenersets":              routes,
		"gateway.networking.k8s.io/backendtlspolicies":        routes,
		"gateway.networking.x-k8s.io/xbackends":               routes,
		"gateway.networking.x-k8s.io/xbackendtrafficpolicies": routes,
		"sluice.dev/backends":                                 routes,
		"gateway.networking.k8s.io/referencegrants":           {"admin", operator, provider},
		"gateway.networking.k8s.io/gateways":                  {operator, provider},
		"sluice.dev/clientpolicies":                           {operator, provider},
		"gateway.networking.k8s.io/gatewayclasses":            {provider},
		"sluice.dev/gatewayparameters":                        {provider},
		"apiextensions.k8s.io/customresourcedefinitions":      nil,
		"gateway.networking.k8s.io/gateways/status":           nil,
		"gateway.networking.k8s.io/httproutes/status":         nil,
		"gateway.networking.k8s.io/backendtlspolicies/status": nil,
		"sluice.dev/clientpolicies/status":                    nil,
		"/configmaps":                                         nil,
		"/secrets":                                            nil,
		"/services":                                           nil,
	} {
		group, name, _ := strings.Cut(resource, "/")
		for role, rules := range roles {
			for _, verb := range []string{"create", "delete", "deletecollection", "patch", "update"} {
				if got, want := allows(rules, verb, group, name), slices.Contains(writers, role); got != want {
					t.Errorf("%s may %s %s: %v, want %v", role, verb, resource, got, want)
				}
			}
			wantRead := writers != nil || role == provider && group == "apiextensions.k8s.io"
			if got := allows(rules, "watch", group, name); got != wantRead {
				t.Errorf("%s may read %s: %v, want %v", role, resource, got, wantRead)
			}
		}
	}
}

func allows(rules []rbacv1.PolicyRule, verb, group, resource string) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Verbs, verb) && slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource)
	})
}
