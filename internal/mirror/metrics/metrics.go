// Package metrics counts what the mirror serves, fetches and keeps, for Prometheus and
// for the mirror's page. It has a registry of its own. METRICS.md beside this file
// lists what is in it; serving it is left to others.
//
// No label ever has a value that a client chooses: what upstreams are named is the
// operator's choice, everything else is from a short list.
package metrics

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/internal/metrics/service"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// Options say where the figures come from that are kept elsewhere.
type Options struct {
	Version   string                 // of this build; "": "unknown"
	Store     func() store.Stats     // nil: there is no cache
	Upstreams func() []UpstreamState // of the upstreams that are configured; nil: none
	State     func() State           // what the server counts by itself; nil: all of it is 0
}

// UpstreamState is what is configured of an upstream, and what it last said of its
// rate limit.
type UpstreamState struct {
	Name   string // as image names call it
	URL    string // without credentials
	Limits upstream.Limits
}

// State is what a server counts by itself. Totals are since the start.
type State struct {
	Connections    int // of clients
	MaxConnections int // 0: no bound
	Requests       int // that are being answered
	AcceptFailures uint64
	RecordsLost    uint64 // of the access log
	Panics         uint64 // that have ended a request
	Draining       bool
}

// Metrics counts. It is safe for concurrent use.
type Metrics struct {
	*service.Reloads // of the configuration

	registry *prometheus.Registry
	handler  http.Handler
	o        Options

	requests, sent                   *prometheus.CounterVec
	upstreamRequests, upstreamFailed *prometheus.CounterVec
	fetched                          *prometheus.CounterVec
	duration                         *prometheus.HistogramVec

	mu      sync.Mutex
	totals  Totals
	history history
	reached map[string]*reach // by upstream
}

// New returns metrics in which the configuration has just been read with success.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), o: o,
		totals:  Totals{Since: time.Now(), Requests: map[string]uint64{}, Sent: map[string]int64{}},
		reached: make(map[string]*reach),
	}
	m.history.begin(m.totals.Since)
	m.addTraffic()
	m.Reloads = service.NewReloads(m.registry, "sluice_mirror")
	service.AddBuild(m.registry, "sluice_mirror", o.Version)
	m.registry.MustRegister(
		condition{m},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.handler = service.Handler(m.registry)
	return m
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Count counts a request that was answered.
func (m *Metrics) Count(r *record.Record) {
	kind, how := r.Kind, r.How
	if !slices.Contains(record.Kinds(), kind) {
		kind = record.Other
	}
	if !slices.Contains(record.Hows(), how) {
		how = ""
	}
	m.requests.WithLabelValues(string(kind), how, class(r.Status)).Inc()
	m.sent.WithLabelValues(how).Add(float64(max(0, r.Bytes)))
	m.duration.WithLabelValues(string(kind)).Observe(r.Duration.Seconds())

	if how == "" {
		return // the mirror's own words save nobody anything
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Sent[how] += r.Bytes
	s := sample{Sent: r.Bytes}
	if isContent(kind) && r.Status < 400 {
		m.totals.Requests[how]++
		s.Requests = 1
		if SparesFetch(how) {
			s.Hits = 1
		}
	}
	m.history.add(time.Now(), s)
}

func isContent(k record.Kind) bool { return k == record.Manifest || k == record.Blob }

// SparesFetch tells whether an answer that came about this way needed no fetch of its
// own: what counts as a hit.
func SparesFetch(how string) bool {
	return how == record.Hit || how == record.Joined || how == record.Revalidated || how == record.Stale
}

// class returns the class of a status.
func class(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return string('0'+rune(status/100)) + "xx"
}

// Upstream counts an exchange with an upstream; it is for upstream.Options.Observe.
func (m *Metrics) Upstream(e upstream.Event) {
	if e.Failure == upstream.Cancelled {
		m.countFetched(e) // nobody waits for it any more, which says nothing about the upstream
		return
	}
	if e.Status == 0 {
		m.upstreamFailed.WithLabelValues(e.Upstream, e.Failure.String()).Inc()
	} else {
		m.upstreamRequests.WithLabelValues(e.Upstream, e.Kind, class(e.Status)).Inc()
	}
	m.countFetched(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reached[e.Upstream] == nil {
		m.reached[e.Upstream] = &reach{}
	}
	m.reached[e.Upstream].add(e, time.Now())
}

func (m *Metrics) countFetched(e upstream.Event) {
	m.fetched.WithLabelValues(e.Upstream, e.Kind).Add(float64(max(0, e.Bytes)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Fetched += e.Bytes
	m.history.add(time.Now(), sample{Fetched: e.Bytes})
}
