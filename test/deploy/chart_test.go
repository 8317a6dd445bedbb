package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// variants are the installations that each test looks at: the values files that
// are offered to users, none of them, and all that can be said.
func variants(t *testing.T) map[string]*installation {
	result := map[string]*installation{"": {namespace: defaultNamespace}}
	for _, pattern := range []string{"../../deploy/values/*.yaml", "testdata/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no values are called %s (%v)", pattern, err)
		}
		for _, name := range names {
			i := &installation{namespace: defaultNamespace}
			if err := i.addFile(name); err != nil {
				t.Fatal(err)
			}
			result[strings.TrimSuffix(filepath.Base(name), ".yaml")] = i
		}
	}
	return result
}

func TestLint(t *testing.T) {
	for name, i := range variants(t) {
		t.Run(name, func(t *testing.T) {
			result := lint.RunAll(chartFolder, i.values, i.namespace)
			for _, message := range result.Messages {
				if message.Severity >= support.WarningSev {
					t.Error(message)
				}
			}
		})
	}
}

// kinds are those that the chart may have.
func kinds(t *testing.T) *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
		apiextensionsv1.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// objects are those of the installation, decoded as strictly as an API server
// can be told to.
func objects(t *testing.T, i *installation) []client.Object {
	t.Helper()
	rendered, err := i.render()
	if err != nil {
		t.Fatal(err)
	}
	scheme := kinds(t)
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var result []client.Object
	for document := range strings.SplitSeq(rendered.namespace+rendered.definitions+rendered.objects, "---\n") {
		if document == "" {
			continue
		}
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		result = append(result, object.(client.Object))
	}
	return result
}

// only is the one object of type T.
func only[T client.Object](t *testing.T, all []client.Object) T {
	t.Helper()
	found := each[T](all)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T", len(found), *new(T))
	}
	return found[0]
}

// each is every object of type T.
func each[T client.Object](all []client.Object) []T {
	var result []T
	for _, object := range all {
		if o, ok := object.(T); ok {
			result = append(result, o)
		}
	}
	return result
}

func TestObjects(t *testing.T) {
	for name, i := range variants(t) {
		t.Run(name, func(t *testing.T) {
			names := map[string]bool{}
			for _, object := range objects(t, i) {
				kind := object.GetObjectKind().GroupVersionKind()
				id := kind.Kind + " " + object.GetName()
				if names[id] {
					t.Errorf("%s is there twice", id)
				}
				names[id] = true
				if namespace := object.GetNamespace(); namespace != "" && namespace != i.namespace {
					t.Errorf("%s is in namespace %s", id, namespace)
				}
				if _, ok := object.(*apiextensionsv1.CustomResourceDefinition); ok && !strings.HasSuffix(object.GetName(), "."+v1alpha1.GroupName) {
					t.Errorf("%s is not Sluice's own", id)
				}
			}
		})
	}
}

// TestSchema holds that values which mean nothing are refused before anything is
// made of them.
func TestSchema(t *testing.T) {
	for setting, want := range map[string]string{
		"replica=2":                   "replica",
		"replicas=two":                "replicas",
		"replicas=-1":                 "replicas",
		"kind=StatefulSet":            "kind",
		"image.tag=a/b":               "image/tag",
		"image.digest=sha256:0":       "image/digest",
		"image.name=sluice":           "image",
		"hostNetwork=on":              "hostNetwork",
		"controllerName=sluice":       "controllerName",
		"arguments[0]=pprof":          "arguments/0",
		"drain.limit=5":               "drain.limit counts from the signal",
		"drain.limit=1m":              "drain/limit",
		"resources.limits.memory=1e9": "resources/limits/memory",
		"metrics.enabled=true":        "metrics",
		"gatewayClasses.Sluice.service.type=NodePort": "Sluice",
		"gatewayClasses.a.service.type=ExternalName":  "gatewayClasses/a/service/type",
		"gatewayClasses.a.services.type=NodePort":     "gatewayClasses/a",
	} {
		i := installation{namespace: defaultNamespace}
		if err := i.addValue(setting); err != nil {
			t.Fatal(err)
		}
		if _, err := i.render(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one about %s", setting, err, want)
		}
	}
}

// TestGenerated holds that what is committed is what the chart makes.
func TestGenerated(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(repository, name))
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%s is not what make generate writes (%v):\n%s", name, err, diff)
		}
	}
	copies, err := filepath.Glob(filepath.Join(chartFolder, "crds/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range copies {
		if path := filepath.Join("deploy/chart/sluice/crds", filepath.Base(name)); files[path] == "" {
			t.Errorf("%s is of no definition in deploy/crds; remove it", path)
		}
	}
}

// TestRender holds that the command prints the namespace, the definitions and the
// objects, in the order in which they can be made.
func TestRender(t *testing.T) {
	var out bytes.Buffer
	args := []string{"render", "--namespace", "gateways", "--values", "../../deploy/values/ha.yaml", "--set", "image.tag=1.0", "--set", "replicas=3"}
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	rest := out.String()
	for _, want := range []string{
		"kind: Namespace", "  name: gateways", "kind: CustomResourceDefinition", "kind: ClusterRole", "kind: Deployment",
		"  namespace: gateways", "  replicas: 3", `image: "sluice:1.0"`,
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Errorf("%q is not where it should be in:\n%s", want, rest)
		}
		rest = after
	}
	for _, args := range [][]string{nil, {"install"}, {"render", "extra"}, {"render", "--values", "missing.yaml"}} {
		if err := run(args, &out); err == nil {
			t.Errorf("%v is no error", args)
		}
	}
}
