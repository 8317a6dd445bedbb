package file_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
)

// loadText loads one YAML text from standard input.
func loadText(t testing.TB, text string) *file.Contents {
	t.Helper()
	return load(t, file.Options{Paths: []string{file.Stdin}, Stdin: strings.NewReader(text)})
}

func load(t testing.TB, options file.Options) *file.Contents {
	t.Helper()
	contents, err := file.Load(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// object is the object of a kind in namespace default, or of the cluster.
func object[T snapshot.Object](t testing.TB, contents *file.Contents, name string) T {
	t.Helper()
	for _, change := range contents.Changes {
		if typed, ok := change.Object.(T); ok && change.Key.Name == name {
			return typed
		}
	}
	t.Fatalf("no %s: %s", name, describe(contents.Update))
	panic("unreachable")
}

func TestLoadDefaultsCustomResources(t *testing.T) {
	contents := loadText(t, `apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: shop
  creationTimestamp: "2024-05-06T07:08:09Z"
  generation: 7
  resourceVersion: "5"
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: shop, port: 8080}]
status:
  parents: []
`)
	route := object[*gatewayv1.HTTPRoute](t, contents, "shop")
	if route.APIVersion != "gateway.networking.k8s.io/v1" || route.Kind != "HTTPRoute" {
		t.Errorf("is %s %s", route.APIVersion, route.Kind)
	}
	if route.Namespace != "default" || route.Generation != 1 || route.ResourceVersion != "" {
		t.Errorf("metadata: %+v", route.ObjectMeta)
	}
	if got := route.CreationTimestamp.UTC().Format("2006-01-02"); got != "2024-05-06" {
		t.Errorf("created %s", got)
	}
	parent := route.Spec.ParentRefs[0]
	if *parent.Kind != "Gateway" || *parent.Group != gatewayv1.GroupName {
		t.Errorf("parentRef: %+v", parent)
	}
	rule := route.Spec.Rules[0]
	if path := rule.Matches[0].Path; *path.Type != gatewayv1.PathMatchPathPrefix || *path.Value != "/" {
		t.Errorf("match: %+v", path)
	}
	if ref := rule.BackendRefs[0]; *ref.Weight != 1 || *ref.Kind != "Service" {
		t.Errorf("backendRef: %+v", ref)
	}
}

func TestLoadDefaultsCoreKinds(t *testing.T) {
	contents := loadText(t, `apiVersion: v1
kind: Service
metadata: {name: shop, namespace: store}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {a: b25l, b: dHdv}
stringData: {b: three}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1]}]
ports: [{port: 8080}]
`)
	service := object[*corev1.Service](t, contents, "shop")
	port := service.Spec.Ports[0]
	if service.Spec.Type != corev1.ServiceTypeClusterIP || port.Protocol != corev1.ProtocolTCP || port.TargetPort.IntValue() != 80 {
		t.Errorf("Service: %+v", service.Spec)
	}
	secret := object[*corev1.Secret](t, contents, "key")
	if secret.Type != corev1.SecretTypeOpaque || string(secret.Data["a"]) != "one" || string(secret.Data["b"]) != "three" || secret.StringData != nil {
		t.Errorf("Secret: %+v", secret)
	}
	slice := object[*discoveryv1.EndpointSlice](t, contents, "shop")
	if *slice.Ports[0].Protocol != corev1.ProtocolTCP || *slice.Ports[0].Name != "" {
		t.Errorf("EndpointSlice: %+v", slice.Ports[0])
	}
	for _, name := range []string{"store", "default"} {
		namespace := object[*corev1.Namespace](t, contents, name)
		if namespace.Labels["kubernetes.io/metadata.name"] != name {
			t.Errorf("labels of the implied namespace: %v", namespace.Labels)
		}
	}
	class := object[*gatewayv1.GatewayClass](t, contents, "sluice")
	if class.Spec.ControllerName != "sluice.dev/gateway-controller" {
		t.Errorf("class: %+v", class.Spec)
	}
}

// TestEveryDefinition holds each served version of each embedded definition to being
// known.
func TestEveryDefinition(t *testing.T) {
	paths, err := filepath.Glob("crds/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		for _, version := range crd.Spec.Versions {
			contents := loadText(t, fmt.Sprintf("apiVersion: %s/%s\nkind: %s\nmetadata: {name: a}\n",
				crd.Spec.Group, version.Name, crd.Spec.Names.Kind))
			got := describe(contents.Update)
			refused := strings.Contains(got, "is not served")
			if strings.Contains(got, "has no kind") || strings.Contains(got, "ignored") || refused == version.Served {
				t.Errorf("%s %s, served %v: %s", crd.Name, version.Name, version.Served, got)
			}
		}
	}
}

// TestLoadReadsThroughLinks reads each file once, however many links lead to it.
func TestLoadReadsThroughLinks(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "real", "a.yaml"), configMap("a", "1"))
	link(t, "real", filepath.Join(dir, "again"))
	link(t, "..", filepath.Join(dir, "real", "loop"))
	link(t, filepath.Join("real", "a.yaml"), filepath.Join(dir, "b.yaml"))
	link(t, "nowhere", filepath.Join(dir, "notes"))
	contents := load(t, file.Options{Paths: []string{dir, filepath.Join(dir, "b.yaml"), dir + "/real"}})
	if len(contents.Diagnostics) > 0 {
		t.Error(describe(contents.Update))
	}
	object[*corev1.ConfigMap](t, contents, "a")
}

func TestLoadRefusesPaths(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for _, paths := range [][]string{nil, {missing}} {
		contents, err := file.Load(t.Context(), file.Options{Paths: paths})
		if err == nil {
			t.Errorf("%q: loaded %v", paths, contents.Changes)
		}
	}
	_, err := file.Load(t.Context(), file.Options{Paths: []string{missing}})
	if want := missing + ": no such file or directory"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s…", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = file.Load(ctx, file.Options{Paths: []string{file.Stdin}, Stdin: strings.NewReader(configMap("a", "1"))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

func TestLoadReadsPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.WriteString(out, configMap("a", "1")); err != nil {
		t.Fatal(err)
	}
	out.Close()
	link(t, fmt.Sprintf("/dev/fd/%d", in.Fd()), path)
	contents, err := file.Load(t.Context(), file.Options{Paths: []string{path}})
	if err != nil {
		t.Skip("no /dev/fd here: ", err)
	}
	object[*corev1.ConfigMap](t, contents, "a")
}

// TestLoadEndsWithItsContext though standard input goes on.
func TestLoadEndsWithItsContext(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := file.Load(ctx, file.Options{Paths: []string{file.Stdin}, Stdin: in}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLocate(t *testing.T) {
	const text = `# a comment
---
apiVersion: v1
kind: List
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata:
    name: shop
    annotations: {example.com/a.b: "1"}
  spec:
    rules:
    - matches:
      - path: {value: /a}
`
	path := filepath.Join(t.TempDir(), "a.yaml")
	writeFile(t, path, text)
	shop := snapshot.Key{Kind: snapshot.KindHTTPRoute, Namespace: "default", Name: "shop"}
	cases := []struct {
		key          snapshot.Key
		field        string
		line, column int
	}{
		{shop, "", 6, 3},
		{shop, "metadata.name", 9, 11},
		{shop, "metadata.annotations[example.com/a.b]", 10, 36},
		{shop, "metadata.annotations.example.com/a.b", 10, 36},
		{shop, "spec.rules[0].matches[0].path.value", 14, 23},
		{shop, "spec.rules[0].matches[0].path.type", 14, 15},
		{shop, "spec.rules[0].backendRefs[3].name", 13, 7},
		{shop, "spec.rules[9]", 13, 5},
		{snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"}, "spec", 0, 0},
		{snapshot.Key{Kind: "Nothing"}, "", 0, 0},
	}
	fromFile := load(t, file.Options{Paths: []string{path}})
	fromStdin := loadText(t, text)
	for _, c := range cases {
		for name, contents := range map[string]*file.Contents{path: fromFile, file.Stdin: fromStdin} {
			gotFile, line, column := contents.Locate(c.key, c.field)
			if c.line == 0 {
				name = ""
			}
			if gotFile != name || line != c.line || column != c.column {
				t.Errorf("%s %s is at %s:%d:%d, want %s:%d:%d", c.key, c.field, gotFile, line, column, name, c.line, c.column)
			}
		}
	}
	placed := fromFile.Place(diagnostic.Diagnostic{Object: shop, Field: "spec.rules"})
	if placed.File != path || placed.Line != 13 {
		t.Errorf("placed at %s:%d", placed.File, placed.Line)
	}
}

func TestLimits(t *testing.T) {
	deep := func(levels int) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deep}\ndata: {v: " +
			strings.Repeat("[", levels) + strings.Repeat("]", levels) + "}\n"
	}
	cases := map[string]struct{ text, want string }{
		"document of more than 4 MiB": {configMap("big", strings.Repeat("x", 4<<20)), "the limit is 4194304"},
		"object of more than 1 MiB":   {configMap("big", strings.Repeat("x", 1<<20+1)), "the limit is 1048576"},
		"nesting":                     {deep(100), "nested deeper than 64 levels"},
		"nesting beyond the parser":   {deep(100_000), "not valid YAML: exceeded max depth"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			contents := loadText(t, c.text+"---\n"+configMap("good", "1"))
			if got := describe(contents.Update); !strings.Contains(got, c.want) {
				t.Errorf("told: %.2000s", got)
			}
			object[*corev1.ConfigMap](t, contents, "good")
		})
	}
}

// TestLimitOfAllFiles refuses the file that goes beyond it, and no other.
func TestLimitOfAllFiles(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("a", "1"))
	writeFile(t, filepath.Join(dir, "c.yaml"), configMap("c", "1"))
	huge, err := os.Create(filepath.Join(dir, "b.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(65 << 20); err != nil {
		t.Fatal(err)
	}
	contents := load(t, file.Options{Paths: []string{dir}})
	if got := describe(contents.Update); strings.Count(got, "all files together would hold more than 64 MiB") != 1 {
		t.Errorf("told: %s", got)
	}
	object[*corev1.ConfigMap](t, contents, "a")
	object[*corev1.ConfigMap](t, contents, "c")
}

// TestFindingsAreBounded tells a readable number of mistakes of a document full of them,
// and does not look for the place of each other one.
func TestFindingsAreBounded(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "  k%d: %d\n", i, i)
	}
	contents := loadText(t, text.String())
	if count := len(contents.Diagnostics); count < 10 || count > 100 {
		t.Errorf("%d diagnostics", count)
	}
}

// FuzzLoad holds the reader to telling about every input without dying of any.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(text), "\n-- ") {
			_, body, _ := strings.Cut(part, " --\n")
			f.Add(body, strings.HasPrefix(body, "{"))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string, json bool) {
		path := filepath.Join(dir, map[bool]string{true: "a.json", false: "a.yaml"}[json])
		writeFile(t, path, text)
		contents := load(t, file.Options{Paths: []string{path}})
		for _, d := range contents.Diagnostics {
			if strings.Contains(d.Message, "a bug in Sluice") {
				t.Error(d.Message)
			}
			if d.Line < 0 || d.Column < 0 || d.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%s:%d:%d is nowhere: %s", d.File, d.Line, d.Column, d.Message)
			}
		}
	})
}
