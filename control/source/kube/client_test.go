package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

func TestRequestsThatWrite(t *testing.T) {
	lease := &coordinationv1.Lease{ObjectMeta: named("sluice-system", "sluice")}
	leaseKey, route := snapshot.KeyOf(lease), snapshot.Key{Kind: snapshot.KindHTTPRoute, Namespace: "shop", Name: "cart"}
	class := snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"}
	const manager = "fieldManager=sluice.dev%2Fgateway-controller"
	for _, c := range []struct {
		name             string
		send             func(context.Context, *kube.Client) error
		line, form, body string
	}{
		{"create", func(ctx context.Context, c *kube.Client) error { _, err := c.Create(ctx, lease); return err },
			"POST /apis/coordination.k8s.io/v1/namespaces/sluice-system/leases?" + manager, "application/vnd.kubernetes.protobuf", "k8s\x00"},
		{"update", func(ctx context.Context, c *kube.Client) error { _, err := c.Update(ctx, lease); return err },
			"PUT /apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluice?" + manager, "application/vnd.kubernetes.protobuf", "k8s\x00"},
		{"apply", func(ctx context.Context, c *kube.Client) error {
			_, err := c.Apply(ctx, leaseKey, map[string]any{"spec": map[string]any{"holderIdentity": "a"}}, "", true)
			return err
		}, "PATCH /apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluice?" + manager + "&force=true", "application/apply-patch+yaml",
			`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"sluice"},"spec":{"holderIdentity":"a"}}`},
		{"apply a status", func(ctx context.Context, c *kube.Client) error {
			_, err := c.Apply(ctx, class, map[string]any{}, "status", false)
			return err
		}, "PATCH /apis/gateway.networking.k8s.io/v1/gatewayclasses/sluice/status?" + manager + "&force=false", "application/apply-patch+yaml",
			`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"sluice"}}`},
		{"edit a status", func(ctx context.Context, c *kube.Client) error {
			_, err := c.Edit(ctx, route, []kube.Operation{{Op: "remove", Path: "/status/parents/0"}}, "status")
			return err
		}, "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart/status?" + manager, "application/json-patch+json",
			`[{"op":"remove","path":"/status/parents/0"}]`},
		{"delete", func(ctx context.Context, c *kube.Client) error {
			return c.Delete(ctx, &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "the-uid", ResourceVersion: "7"}})
		},
			"DELETE /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart?", "application/json", `"preconditions":{"uid":"the-uid","resourceVersion":"7"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var line, form, agent string
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				query := r.URL.Query()
				query.Del("timeout")
				line, form, agent = r.Method+" "+r.URL.Path+"?"+query.Encode(), r.Header.Get("Content-Type"), r.UserAgent()
				body, _ = io.ReadAll(r.Body)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease"}`))
			}))
			defer server.Close()
			client, err := kube.NewClientOf(&rest.Config{Host: server.URL, UserAgent: "sluice/test"}, controller)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.send(t.Context(), client)
			if line != c.line || form != c.form || agent != "sluice/test" || !bytes.Contains(body, []byte(c.body)) {
				t.Errorf("sent\n%s\n%s\n%s\n%s\nwant\n%s\n%s\n%s", line, form, agent, body, c.line, c.form, c.body)
			}
		})
	}
}

func TestCoreKindsAreReadAsProtobufAndSecretsListedAsMetadata(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"), listens("gw", "a"))
		w := follow(t, server)
		w.untilFirst()
		const protobuf, asMetadata = "application/vnd.kubernetes.protobuf,", ";as=PartialObjectMetadata"
		for what, want := range map[string]string{
			"list services": protobuf, "watch services": protobuf, "watch endpointslices": protobuf, "watch leases": protobuf, "get secrets": protobuf,
			"list gateways": "application/json,", "watch gateways": "application/json,", "watch backends": "application/json,",
			"list secrets": asMetadata, "watch secrets": asMetadata, "watch customresourcedefinitions": asMetadata,
		} {
			server.mu.Lock()
			accept, ok := server.accepts[what]
			server.mu.Unlock()
			if list := strings.HasPrefix(what, "list"); ok != (!list || server.withoutWatchLists) || ok && !strings.Contains(accept+",", want) {
				t.Errorf("%s: asked (%v) for %q, want %q", what, ok, accept, want)
			}
		}
	})
}

func TestRequestsAreNotHeldBackAndEnd(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"))
		client, start := server.client(t), time.Now()
		for range 200 {
			if _, err := client.Get(t.Context(), secretKey("a")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("200 requests took %v of a server that answers at once", took)
		}
		defer close(server.stall("get secrets"))
		_, err := client.Get(t.Context(), secretKey("a"))
		if took := time.Since(start); err == nil || took != 30*time.Second {
			t.Errorf("a request without answer ended after %v with %v", took, err)
		}
		synctest.Wait()
	})
}

func TestNoWayToAServerSaysWhatToDo(t *testing.T) {
	for _, name := range []string{"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	for _, file := range []string{"", "/nowhere/config"} {
		if _, err := kube.NewClient(file, "test", controller); err == nil || !strings.Contains(fmt.Sprint(err), "name a kubeconfig file") {
			t.Errorf("%q: %v", file, err)
		}
	}
}
