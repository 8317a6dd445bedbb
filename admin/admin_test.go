package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicegateway/sluice/admin"
)

func options() admin.Options {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "demo_total", Help: "Demo."})
	registry.MustRegister(counter)
	return admin.Options{
		Ready:   func() error { return nil },
		Metrics: registry,
		Status:  func() any { return map[string]string{"kind": "List"} },
		Config: func(w io.Writer, asJSON bool) error {
			_, err := fmt.Fprintf(w, "json=%v", asJSON)
			return err
		},
		Explain: func(body []byte) (any, error) {
			if len(body) == 0 {
				return nil, errors.New("no request")
			}
			return string(body), nil
		},
	}
}

func get(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPI(t *testing.T) {
	h := admin.Handler(options())
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 200, "/status"},
		{"GET", "/livez", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ok"},
		{"GET", "/metrics", "", 200, "demo_total 0"},
		{"GET", "/status", "", 200, `{"kind":"List"}`},
		{"GET", "/config", "", 200, "json=false"},
		{"GET", "/config?o=json", "", 200, "json=true"},
		{"POST", "/explain", `x`, 200, `"x"`},
		{"POST", "/explain", "", 400, "no request"},
		{"POST", "/explain", strings.Repeat("x", 1<<20), 413, ""},
		{"GET", "/explain", "", 405, ""},
		{"POST", "/status", "", 405, ""},
		{"GET", "/nothing", "", 404, ""},
		{"GET", "/debug/pprof/", "", 404, ""},
	} {
		w := get(h, c.method, "http://127.0.0.1:9901"+c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
	}
}

func TestProfilesAreThereWhenAskedFor(t *testing.T) {
	o := options()
	o.Profiles = true
	if w := get(admin.Handler(o), "GET", "http://localhost/debug/pprof/", ""); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

func TestNotReady(t *testing.T) {
	o := options()
	o.Ready = func() error { return errors.New("draining") }
	w := get(admin.Handler(o), "GET", "http://127.0.0.1/readyz", "")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "draining") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHealthShowsNothingElse(t *testing.T) {
	o := options()
	o.Profiles = true
	h := admin.HealthHandler(o)
	for path, status := range map[string]int{
		"/livez": 200, "/readyz": 200, "/metrics": 200,
		"/": 404, "/status": 404, "/config": 404, "/explain": 404, "/debug/pprof/": 404,
	} {
		if w := get(h, "GET", "http://sluice.sluice-system:9902"+path, ""); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

func TestDNSRebindingIsRefused(t *testing.T) {
	h := admin.Handler(options())
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9901": 200, "[::1]:9901": 200, "[::1]": 200, "localhost:9901": 200, "LOCALHOST": 200,
		"192.0.2.1:9901": 200, "evil.example": 403, "evil.example:9901": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
	} {
		r := httptest.NewRequest("GET", "http://x/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("Host %s: status %d, want %d", host, w.Code, status)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- admin.Serve(ctx, l, admin.Handler(options())) }()
	response, err := http.Get("http://" + l.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
