package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

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

func (m *Metrics) addReloads() {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_mirror_config_reloads_total",
		Help: "Attempts to reload the configuration. The start is none.",
	}, []string{"result"})
	m.reloads = [2]prometheus.Counter{reloads.WithLabelValues("failure"), reloads.WithLabelValues("success")}
	m.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_mirror_config_last_reload_successful",
		Help: "1 if the configuration was read when it was tried last, 0 if an older one is in force.",
	})
	m.reloaded = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_mirror_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in force was read, as a Unix time.",
	})
	m.reloadOK.Set(1)
	m.reloaded.SetToCurrentTime()
	m.registry.MustRegister(reloads, m.reloadOK, m.reloaded)
}

func (m *Metrics) addBuild(version string) {
	if version == "" {
		version = "unknown"
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sluice_mirror_build_info",
		Help: "Always 1; the labels say what runs.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(build)
}
