package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// pods is the template of the installation's Pods, and the selector of it.
func pods(t *testing.T, all []client.Object) (corev1.PodTemplateSpec, *metav1.LabelSelector) {
	t.Helper()
	for _, d := range each[*appsv1.Deployment](all) {
		return d.Spec.Template, d.Spec.Selector
	}
	d := only[*appsv1.DaemonSet](t, all)
	return d.Spec.Template, d.Spec.Selector
}

// TestPodSecurity holds the Pods to the standard for Pods that their namespace
// enforces. On the network of a node no standard but "privileged" admits them;
// beside that, they keep to "restricted".
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hostOnly := []string{"host namespaces", "probe or lifecycle host"}
	for name, i := range variants(t) {
		t.Run(name, func(t *testing.T) {
			all := objects(t, i)
			template, _ := pods(t, all)
			var broken []string
			for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &template.ObjectMeta, &template.Spec) {
				if !result.Allowed {
					broken = append(broken, result.ForbiddenReason)
				}
			}
			slices.Sort(broken)
			var want []string
			level := "restricted"
			if template.Spec.HostNetwork {
				want, level = hostOnly, "privileged"
			}
			if diff := cmp.Diff(want, broken); diff != "" {
				t.Errorf("what the standard restricted forbids:\n%s", diff)
			}
			if got := only[*corev1.Namespace](t, all).Labels[api.EnforceLevelLabel]; got != level {
				t.Errorf("the namespace enforces %s, want %s", got, level)
			}
		})
	}
}

// TestPods holds what the standards for Pods say nothing about.
func TestPods(t *testing.T) {
	for name, i := range variants(t) {
		t.Run(name, func(t *testing.T) {
			all := objects(t, i)
			template, selector := pods(t, all)
			spec, container := template.Spec, template.Spec.Containers[0]
			if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
				t.Error("the root of the container can be written to")
			}
			if added := container.SecurityContext.Capabilities.Add; (len(added) > 0) != spec.HostNetwork {
				t.Errorf("capabilities %v, hostNetwork %v", added, spec.HostNetwork)
			}
			if template.Labels[v1alpha1.LabelReplica] != "true" {
				t.Errorf("other replicas cannot find the Pod by the label %s", v1alpha1.LabelReplica)
			}
			if s, err := metav1.LabelSelectorAsSelector(selector); err != nil || !s.Matches(labels.Set(template.Labels)) {
				t.Errorf("the selector %v does not match the Pod (%v)", selector, err)
			}
			limit := flagDuration(t, container.Args, "--drain-limit=")
			if grace := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second; grace <= limit {
				t.Errorf("Pods are killed %v after the signal, and the drain takes up to %v", grace, limit)
			}
			if state := spec.Volumes[0].EmptyDir; state.Medium != corev1.StorageMediumMemory || state.SizeLimit == nil {
				t.Errorf("keys are in %+v, and not in bounded memory", state)
			}
			if spec.Volumes[0].Name != container.VolumeMounts[0].Name || !slices.Contains(container.Args, "--state-dir="+container.VolumeMounts[0].MountPath) {
				t.Errorf("the state is in none of %v", container.VolumeMounts)
			}
			checkProbes(t, container)
		})
	}
}

// checkProbes holds that probes reach the port that the program is told to open.
func checkProbes(t *testing.T, container corev1.Container) {
	t.Helper()
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
		if probe == nil {
			t.Fatal("a probe is missing")
		}
		get := probe.HTTPGet
		if name := get.Port.String(); name != container.Ports[0].Name {
			t.Errorf("a probe is of port %s", name)
		}
		if want := "--health=" + get.Host + ":9902"; container.Ports[0].ContainerPort != 9902 || !slices.Contains(container.Args, want) {
			t.Errorf("%v has no %s", container.Args, want)
		}
	}
}

func flagDuration(t *testing.T, args []string, flag string) time.Duration {
	t.Helper()
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, flag); ok {
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("%v has no %s", args, flag)
	return 0
}

// TestSettings holds what becomes of values that are more than copied.
func TestSettings(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings []string
		got      func(t *testing.T, all []client.Object) any
		want     any
	}{
		{"the tag is the chart's", nil, image, "sluice:dev"},
		{"a tag", []string{"image.tag=1.0"}, image, "sluice:1.0"},
		{"a digest wins over a tag", []string{"image.tag=1.0", "image.digest=sha256:" + strings.Repeat("0", 64)}, image, "sluice@sha256:" + strings.Repeat("0", 64)},
		{"no limit of memory", nil, memoryLimit, ""},
		{"a limit of memory in Mi", []string{"resources.limits.memory=200Mi"}, memoryLimit, "180MiB"},
		{"a limit of memory in Gi", []string{"resources.limits.memory=2Gi"}, memoryLimit, "1843MiB"},
		{"one replica needs no budget", nil, budgets, 0},
		{"two replicas have a budget", []string{"replicas=2"}, budgets, 1},
		{"a DaemonSet has no budget", []string{"replicas=2", "kind=DaemonSet"}, budgets, 0},
		{"a new Pod comes before an old one goes", nil, surge, "1 0"},
		{"a new Pod waits for the ports of an old one", []string{"hostNetwork=true"}, surge, "0 1"},
		{"a node's network shows health to the node alone", []string{"hostNetwork=true"}, probeHost, "127.0.0.1"},
		{"a node's network shows metrics to those who want them", []string{"hostNetwork=true", "metrics.service=true"}, probeHost, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := installation{namespace: defaultNamespace}
			for _, setting := range test.settings {
				if err := i.addValue(setting); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, test.got(t, objects(t, &i))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func image(t *testing.T, all []client.Object) any {
	template, _ := pods(t, all)
	return template.Spec.Containers[0].Image
}

func memoryLimit(t *testing.T, all []client.Object) any {
	template, _ := pods(t, all)
	for _, variable := range template.Spec.Containers[0].Env {
		if variable.Name == "GOMEMLIMIT" {
			return variable.Value
		}
	}
	return ""
}

func budgets(_ *testing.T, all []client.Object) any {
	return len(each[*policyv1.PodDisruptionBudget](all))
}

func surge(t *testing.T, all []client.Object) any {
	rolling := only[*appsv1.Deployment](t, all).Spec.Strategy.RollingUpdate
	return rolling.MaxSurge.String() + " " + rolling.MaxUnavailable.String()
}

func probeHost(t *testing.T, all []client.Object) any {
	template, _ := pods(t, all)
	return template.Spec.Containers[0].ReadinessProbe.HTTPGet.Host
}
