package observe_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicegateway/sluice/observe"
)

func TestRequestsAreSummedOverWorkers(t *testing.T) {
	m := observe.NewMetrics(2, nil)
	shop := m.Route("httproute/default/shop")
	shop.Count(0, &observe.Request{Status: 200, Duration: 3 * time.Millisecond, RequestBytes: 5, ResponseBytes: 7})
	shop.Count(1, &observe.Request{Status: 204, Duration: time.Minute})
	shop.Count(1, &observe.Request{Status: 101, Duration: time.Hour, Upgrade: true})
	shop.Count(1, &observe.Request{Failure: "client_reset", Duration: time.Millisecond})
	m.Route("").Count(0, &observe.Request{Status: 404})
	m.Route("httproute/default/idle")

	expect(t, m, `
sluice_failures_total{reason="client_reset"} 1
sluice_request_body_bytes_total{route="httproute/default/shop"} 5
sluice_request_body_bytes_total{route="none"} 0
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="0.001"} 1
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="0.005"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="0.025"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="0.1"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="0.5"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="2.5"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="10"} 2
sluice_request_duration_seconds_bucket{route="httproute/default/shop",le="+Inf"} 3
sluice_request_duration_seconds_sum{route="httproute/default/shop"} 60.004
sluice_request_duration_seconds_count{route="httproute/default/shop"} 3
sluice_request_duration_seconds_bucket{route="none",le="0.001"} 1
sluice_request_duration_seconds_bucket{route="none",le="0.005"} 1
sluice_request_duration_seconds_bucket{route="none",le="0.025"} 1
sluice_request_duration_seconds_bucket{route="none",le="0.1"} 1
sluice_request_duration_seconds_bucket{route="none",le="0.5"} 1
sluice_request_duration_seconds_bucket{route="none",le="2.5"} 1
sluice_request_duration_seconds_bucket{route="none",le="10"} 1
sluice_request_duration_seconds_bucket{route="none",le="+Inf"} 1
sluice_request_duration_seconds_sum{route="none"} 0
sluice_request_duration_seconds_count{route="none"} 1
sluice_requests_total{class="1xx",route="httproute/default/shop"} 1
sluice_requests_total{class="2xx",route="httproute/default/shop"} 2
sluice_requests_total{class="4xx",route="none"} 1
sluice_requests_total{class="none",route="httproute/default/shop"} 1
sluice_response_body_bytes_total{route="httproute/default/shop"} 7
sluice_response_body_bytes_total{route="none"} 0
`, "sluice_requests_total", "sluice_request_duration_seconds", "sluice_request_body_bytes_total",
		"sluice_response_body_bytes_total", "sluice_failures_total")
}

func TestConnections(t *testing.T) {
	m := observe.NewMetrics(2, nil)
	c := m.Connections("0.0.0.0:80")
	c.Opened(0)
	c.Opened(1)
	c.Closed(1)
	m.Connections("0.0.0.0:81").Opened(0)
	m.RemoveConnections("0.0.0.0:81")
	expect(t, m, `
sluice_connections_open{address="0.0.0.0:80"} 1
sluice_connections_total{address="0.0.0.0:80"} 2
`, "sluice_connections_open", "sluice_connections_total")
}

func TestConfiguration(t *testing.T) {
	m := observe.NewMetrics(1, nil)
	m.ConfigApplied(1, time.Unix(100, 0))
	m.ConfigApplied(2, time.Unix(200, 0))
	m.Findings(3, 1)
	expect(t, m, `
sluice_access_log_dropped_total 0
sluice_config_applied_timestamp_seconds 200
sluice_config_changes_total 2
sluice_config_findings{severity="error"} 3
sluice_config_findings{severity="warning"} 1
sluice_config_version 2
`, "sluice_config_version", "sluice_config_applied_timestamp_seconds", "sluice_config_changes_total", "sluice_config_findings", "sluice_access_log_dropped_total")
}

// A route that stays keeps its counts; one that goes takes its series along
// and makes room for another.
func TestSeriesFollowTheRoutes(t *testing.T) {
	m := observe.NewMetrics(1, nil)
	ok := &observe.Request{Status: 200}
	for i := range observe.MaxRoutes + 2 {
		m.Route(fmt.Sprint("r", i)).Count(0, ok)
	}
	m.Route("r0").Count(0, ok)
	if got, want := strings.Count(exposed(t, m, "sluice_requests_total"), "\n"), observe.MaxRoutes+1; got != want {
		t.Errorf("%d series, want %d: those at the bound and other", got, want)
	}
	m.RemoveRoute("r1")
	m.Route("late").Count(0, ok)
	text := exposed(t, m, "sluice_requests_total")
	for _, want := range []string{`route="late"} 1`, `route="r0"} 2`, `route="other"} 2`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, `route="r1"`) {
		t.Error("a removed route has a series")
	}
}

func TestHandshakesAndSessions(t *testing.T) {
	m := observe.NewMetrics(1, nil)
	for name, count := range map[string]func(string){"sluice_tls_handshakes_total": m.Handshake, "sluice_http2_connections_total": m.Session2, "sluice_http3_connections_total": m.Session3} {
		count("ok")
		count("ok")
		count("timeout")
		want := fmt.Sprintf("%[1]s{result=\"ok\"} 2\n%[1]s{result=\"timeout\"} 1\n", name)
		if got := exposed(t, m, name); !strings.HasSuffix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestFailureReasonsAreBounded(t *testing.T) {
	m := observe.NewMetrics(1, nil)
	for i := range 1000 {
		m.Route("").Count(0, &observe.Request{Failure: fmt.Sprint("reason", i)})
	}
	if n := strings.Count(exposed(t, m, "sluice_failures_total"), "\n"); n == 0 || n > 65 {
		t.Errorf("%d reasons", n)
	}
}

// exposed is what Prometheus reads, of the metrics named.
func exposed(t *testing.T, m *observe.Metrics, names ...string) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).
		ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatal(w.Body)
	}
	var b strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		for _, name := range names {
			if strings.HasPrefix(line, name) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

func expect(t *testing.T, m *observe.Metrics, want string, names ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(exposed(t, m, names...))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func BenchmarkCount(b *testing.B) {
	b.ReportAllocs()
	r := observe.NewMetrics(2, nil).Route("r")
	req := &observe.Request{Status: 200, Duration: 3 * time.Millisecond, ResponseBytes: 100}
	for b.Loop() {
		r.Count(0, req)
	}
}
