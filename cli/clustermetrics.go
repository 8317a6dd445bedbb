package cli

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	leaderDesc    = prometheus.NewDesc("sluice_leader", "1 if this replica is the one that writes statuses and what Gateways need, else 0.", nil, nil)
	reachableDesc = prometheus.NewDesc("sluice_api_server_reachable", "1 if the API server answered the last request of a watch, else 0.", nil, nil)
	batchesDesc   = prometheus.NewDesc("sluice_api_server_batches_total", "Batches of changed objects that the API server had, since the start.", nil, nil)
	writesDesc    = prometheus.NewDesc("sluice_api_server_writes_total", "Writing requests to the API server, by the kind of object, its part (status, or empty for the rest) and result: ok, or the reason of the refusal.", []string{"kind", "part", "result"}, nil)
	savesDesc     = prometheus.NewDesc("sluice_config_saves_total", "Times that the configuration in force was written to --state-dir, by result: ok or failed.", []string{"result"}, nil)
)

// clusterMetrics are the metrics of what a replica has to do with its cluster.
type clusterMetrics struct{ *cluster }

// Describe sends the descriptions of all metrics.
func (m clusterMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, reachableDesc, batchesDesc, writesDesc, savesDesc} {
		out <- d
	}
}

// Collect sends the present values.
func (m clusterMetrics) Collect(out chan<- prometheus.Metric) {
	constant := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	constant(leaderDesc, prometheus.GaugeValue, oneIf(m.leads.Load()))
	constant(reachableDesc, prometheus.GaugeValue, oneIf(m.source.Reachable()))
	constant(batchesDesc, prometheus.CounterValue, float64(m.batches.Load()))
	for write, n := range m.client.Writes() {
		constant(writesDesc, prometheus.CounterValue, float64(n), string(write.Kind), write.Part, write.Result)
	}
	if m.saved != nil {
		constant(savesDesc, prometheus.CounterValue, float64(m.saved.written.Load()), "ok")
		constant(savesDesc, prometheus.CounterValue, float64(m.saved.failed.Load()), "failed")
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
