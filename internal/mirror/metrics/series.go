package metrics

import "github.com/prometheus/client_golang/prometheus"

// Buckets in seconds: what comes from the cache takes milliseconds, a large layer from
// a far upstream minutes.
var durationBuckets = []float64{.001, .005, .025, .1, .5, 2.5, 10, 60, 300}

func (m *Metrics) addTraffic() {
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_requests_total",
		Help: "Requests that were answered, or whose client has left.",
	}, []string{"kind", "how", "class"})
	m.sent = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_sent_bytes_total",
		Help: "Bytes of answers' bodies that went out to clients.",
	}, []string{"how"})
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_mirror_request_duration_seconds", Buckets: durationBuckets,
		Help: "Time from a request's header to the end of its answer.",
	}, []string{"kind"})
	m.upstreamRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_upstream_requests_total",
		Help: "Requests to upstreams, and to hosts that they named, which were answered.",
	}, []string{"upstream", "kind", "class"})
	m.upstreamFailed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_upstream_failures_total",
		Help: "Requests to upstreams, and to hosts that they named, to which no answer came.",
	}, []string{"upstream", "failure"})
	m.fetched = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_upstream_fetched_bytes_total",
		Help: "Bytes of bodies that were fetched from upstreams and hosts that they named.",
	}, []string{"upstream", "kind"})
	saved := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_mirror_saved_bytes",
		Help: "Bytes of registries' content that were sent to clients, less those fetched from upstreams, since the start; below 0 while more was fetched than sent.",
	}, func() float64 { return float64(m.Totals().Saved()) })
	m.registry.MustRegister(m.requests, m.sent, m.duration, m.upstreamRequests, m.upstreamFailed, m.fetched, saved)
}
