package kube_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

func TestWritesAreCountedByTheirEnd(t *testing.T) {
	answers := []int{http.StatusOK, http.StatusConflict, http.StatusForbidden, http.StatusForbidden}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answers[0])
		answers = answers[1:]
		_, _ = w.Write([]byte(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"gw"}}`))
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"clusters":[{"name":"c","cluster":{"server":"`+server.URL+`"}}],"contexts":[{"name":"c","context":{"cluster":"c"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(path, "test", controller)
	if err != nil {
		t.Fatal(err)
	}
	gateway := snapshot.Key{Kind: snapshot.KindGateway, Namespace: "default", Name: "gw"}
	_, _ = client.Apply(t.Context(), gateway, map[string]any{}, "status", true)
	_, _ = client.Edit(t.Context(), gateway, nil, "status")
	_, _ = client.Edit(t.Context(), gateway, nil, "")
	_ = client.Delete(t.Context(), &gatewayv1.Gateway{ObjectMeta: named("default", "gw")})
	server.Close()
	_ = client.Delete(t.Context(), &gatewayv1.Gateway{ObjectMeta: named("default", "gw")})
	want := map[kube.Write]uint64{
		{Kind: snapshot.KindGateway, Part: "status", Result: "ok"}:       1,
		{Kind: snapshot.KindGateway, Part: "status", Result: "conflict"}: 1,
		{Kind: snapshot.KindGateway, Part: "", Result: "forbidden"}:      2,
		{Kind: snapshot.KindGateway, Part: "", Result: "unreachable"}:    1,
	}
	if got := client.Writes(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
