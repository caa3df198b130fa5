// Package service has the metrics that every service of this project has, whatever it
// does: what runs, and how reloads of its configuration went. It also answers scrapes.
package service

import (
	"cmp"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Scrapes bounds how many are answered at once: whoever can reach the admin address must
// not make a service work for nothing else.
const Scrapes = 4

// Handler answers scrapes of a registry, those beyond Scrapes at a time with 503.
func Handler(registry prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// A part that cannot be collected keeps back no other.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: Scrapes,
	})
}

// Reloads counts reloads of the configuration. It is safe for concurrent use.
type Reloads struct {
	failed, succeeded prometheus.Counter
	successful, at    prometheus.Gauge
}

// NewReloads registers the metrics of reloads under a prefix, such as "sluice", with the
// configuration just read.
func NewReloads(registry prometheus.Registerer, prefix string) *Reloads {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "_config_reloads_total",
		Help: "Attempts to reload the configuration. The start is none.",
	}, []string{"result"})
	r := &Reloads{
		failed: all.WithLabelValues("failure"), succeeded: all.WithLabelValues("success"),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_successful",
			Help: "1 if the configuration was read when it was tried last, 0 if an older one is in force.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was read, as a Unix time.",
		}),
	}
	r.successful.Set(1)
	r.at.SetToCurrentTime()
	registry.MustRegister(all, r.successful, r.at)
	return r
}

// Reloaded counts an attempt; nil is success.
func (r *Reloads) Reloaded(err error) {
	if err != nil {
		r.failed.Inc()
		r.successful.Set(0)
		return
	}
	r.succeeded.Inc()
	r.successful.Set(1)
	r.at.SetToCurrentTime()
}

// AddBuild registers what runs, under a prefix. version is that of this build; "":
// "unknown".
func AddBuild(registry prometheus.Registerer, prefix, version string) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: prefix + "_build_info",
		Help: "Always 1; the labels say what runs.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(cmp.Or(version, "unknown"), runtime.Version()).Set(1)
	registry.MustRegister(build)
}
