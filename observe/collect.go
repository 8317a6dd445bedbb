package observe

import (
	"maps"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

var (
	requestsDesc      = desc("requests_total", "Requests by route and class of the response's status; class none had no response.", "route", "class")
	durationDesc      = desc("request_duration_seconds", "Time from a request's first byte to its response's last, without tunnels.", "route")
	requestBytesDesc  = desc("request_body_bytes_total", "Bytes of request bodies.", "route")
	responseBytesDesc = desc("response_body_bytes_total", "Bytes of response bodies.", "route")
	failuresDesc      = desc("failures_total", "Requests that failed, by who failed and how.", "reason")
	handshakesDesc    = desc("tls_handshakes_total", "TLS handshakes with clients, by their result: ok, or why they failed.", "result")
	sessions2Desc     = desc("http2_connections_total", "HTTP/2 connections of clients that have ended, by their result: ok, or why they were cut.", "result")
	sessions3Desc     = desc("http3_connections_total", "HTTP/3 connections of clients that have ended, by their result: ok, or why they were cut.", "result")
	openDesc          = desc("connections_open", "Client connections that are open, by the address they came in at.", "address")
	acceptedDesc      = desc("connections_total", "Client connections accepted, by the address they came in at.", "address")
	logDroppedDesc    = desc("access_log_dropped_total", "Access log records that were not written, because the writer was too slow or failed.")
	versionDesc       = desc("config_version", "Version of the configuration in force.")
	appliedAtDesc     = desc("config_applied_timestamp_seconds", "When the configuration in force was applied, in Unix time.")
	changesDesc       = desc("config_changes_total", "Changes of the configuration since the start.")
	findingsDesc      = desc("config_findings", "Findings about the objects in force, by severity; /status lists them.", "severity")
)

// Describe sends the descriptions of all metrics.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		requestsDesc, durationDesc, requestBytesDesc, responseBytesDesc, failuresDesc, handshakesDesc, sessions2Desc, sessions3Desc,
		openDesc, acceptedDesc, logDroppedDesc, versionDesc, appliedAtDesc, changesDesc, findingsDesc,
	} {
		out <- d
	}
}

// Collect sends the present values: the sums over all workers.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	routes, sockets, failures := maps.Clone(m.routes), maps.Clone(m.sockets), maps.Clone(m.failures)
	results := map[*prometheus.Desc]map[string]uint64{
		handshakesDesc: maps.Clone(m.handshakes), sessions2Desc: maps.Clone(m.sessions2), sessions3Desc: maps.Clone(m.sessions3),
	}
	m.mu.Unlock()

	for name, r := range routes {
		r.collect(out, name)
	}
	m.noRoute.collect(out, "none")
	m.otherRoutes.collect(out, "other")
	for address, c := range sockets {
		c.collect(out, address)
	}
	m.otherSockets.collect(out, "other")
	for reason, n := range failures {
		out <- counter(failuresDesc, n, reason)
	}
	for desc, counts := range results {
		for result, n := range counts {
			out <- counter(desc, n, result)
		}
	}
	out <- counter(logDroppedDesc, m.log.Dropped())
	out <- counter(changesDesc, m.applied.Load())
	out <- gauge(findingsDesc, float64(m.errors.Load()), "error")
	out <- gauge(findingsDesc, float64(m.warnings.Load()), "warning")
	if at := m.configApplied.Load(); at != 0 {
		out <- gauge(versionDesc, float64(m.configVersion.Load()))
		out <- gauge(appliedAtDesc, float64(at)/1e9)
	}
}

// collect sends nothing for a route that had no request yet: a large
// configuration has many of them.
func (r *Route) collect(out chan<- prometheus.Metric, name string) {
	var sum routeShard
	for i := range r.shards {
		sum.add(&r.shards[i])
	}
	seen := false
	for class := range sum.classes {
		if n := sum.classes[class].Load(); n > 0 {
			seen = true
			out <- counter(requestsDesc, n, name, className(class))
		}
	}
	if !seen {
		return
	}
	out <- sum.histogram(name)
	out <- counter(requestBytesDesc, sum.requestBytes.Load(), name)
	out <- counter(responseBytesDesc, sum.responseBytes.Load(), name)
}

func className(class int) string {
	if class == 0 {
		return "none"
	}
	return strconv.Itoa(class) + "xx"
}

func (s *routeShard) add(other *routeShard) {
	for i := range s.classes {
		s.classes[i].Add(other.classes[i].Load())
	}
	for i := range s.durations {
		s.durations[i].Add(other.durations[i].Load())
	}
	s.nanoseconds.Add(other.nanoseconds.Load())
	s.requestBytes.Add(other.requestBytes.Load())
	s.responseBytes.Add(other.responseBytes.Load())
}

func (s *routeShard) histogram(route string) prometheus.Metric {
	cumulative := make(map[float64]uint64, len(buckets))
	var count uint64
	for i, bound := range buckets {
		count += s.durations[i].Load()
		cumulative[bound.Seconds()] = count
	}
	count += s.durations[len(buckets)].Load()
	return prometheus.MustNewConstHistogram(durationDesc, count, float64(s.nanoseconds.Load())/1e9, cumulative, route)
}

// collect sends nothing for an address that had no connection yet.
func (c *Connections) collect(out chan<- prometheus.Metric, address string) {
	var opened, closed uint64
	for i := range c.shards {
		// Closed is read first: each close follows its open, so the difference
		// is never negative.
		closed += c.shards[i].closed.Load()
		opened += c.shards[i].opened.Load()
	}
	if opened == 0 {
		return
	}
	out <- gauge(openDesc, float64(opened-closed), address)
	out <- counter(acceptedDesc, opened, address)
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}
