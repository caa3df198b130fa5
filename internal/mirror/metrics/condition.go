package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/mirror/store"
)

// condition collects what is kept elsewhere: the state of the server, of the cache and
// of the upstreams.
type condition struct{ *Metrics }

// figure is one figure of a T as a metric.
type figure[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

func gauge[T any](name, help string, value func(*T) float64, labels ...string) figure[T] {
	return figure[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, value}
}

func counter[T any](name, help string, value func(*T) uint64) figure[T] {
	return figure[T]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue,
		func(of *T) float64 { return float64(value(of)) }}
}

var serverFigures = []figure[State]{
	gauge("sluice_mirror_connections", "Connections of clients.", func(s *State) float64 { return float64(s.Connections) }),
	gauge("sluice_mirror_max_connections", "Bound of sluice_mirror_connections; 0 if there is none.",
		func(s *State) float64 { return float64(s.MaxConnections) }),
	gauge("sluice_mirror_requests_in_progress", "Requests that are being answered.", func(s *State) float64 { return float64(s.Requests) }),
	counter("sluice_mirror_accept_failures_total", "Failures to accept a connection, mostly for want of descriptors.",
		func(s *State) uint64 { return s.AcceptFailures }),
	counter("sluice_mirror_log_records_lost_total", "Records that the access log did not take in time.",
		func(s *State) uint64 { return s.RecordsLost }),
	counter("sluice_mirror_panics_total", "Faults of the mirror's own that have ended a request; the log has each with its stack.",
		func(s *State) uint64 { return s.Panics }),
	gauge("sluice_mirror_draining", "1 while the mirror lets its answers end and takes no more requests.",
		func(s *State) float64 { return truth(s.Draining) }),
}

var cacheFigures = []figure[store.Stats]{
	gauge("sluice_mirror_cache_bytes", "Bytes that the cache holds, of whole content and of parts.",
		func(s *store.Stats) float64 { return float64(s.Bytes) }),
	gauge("sluice_mirror_cache_max_bytes", "Bound of sluice_mirror_cache_bytes.", func(s *store.Stats) float64 { return float64(s.MaxSize) }),
	gauge("sluice_mirror_cache_contents", "Blobs and manifests that the cache holds whole.",
		func(s *store.Stats) float64 { return float64(s.Blobs) }),
	gauge("sluice_mirror_cache_partial_bytes", "Bytes of content that is being fetched, or whose download was interrupted.",
		func(s *store.Stats) float64 { return float64(s.PartialBytes) }),
	gauge("sluice_mirror_cache_partials", "Contents that are being fetched, or whose download was interrupted.",
		func(s *store.Stats) float64 { return float64(s.Partials) }),
	gauge("sluice_mirror_downloads", "Downloads from upstreams under way.", func(s *store.Stats) float64 { return float64(s.Downloads) }),
	gauge("sluice_mirror_reads", "Reads of content under way.", func(s *store.Stats) float64 { return float64(s.Reads) }),
	counter("sluice_mirror_cache_evictions_total", "Contents that made room for others.", func(s *store.Stats) uint64 { return s.Evictions }),
	counter("sluice_mirror_cache_evicted_bytes_total", "Bytes of contents that made room for others.",
		func(s *store.Stats) uint64 { return s.EvictedBytes }),
	counter("sluice_mirror_cache_corrupt_total", "Contents that were found to be other than when they were stored, and were removed.",
		func(s *store.Stats) uint64 { return s.Corrupt }),
	counter("sluice_mirror_cache_mismatches_total", "Downloads that brought other content than was asked for, or another length.",
		func(s *store.Stats) uint64 { return s.Mismatches }),
	counter("sluice_mirror_cache_uncached_total", "Contents that were passed on and not kept, for the disk is full or they are larger than the cache.",
		func(s *store.Stats) uint64 { return s.Uncached }),
}

var upstreamFigures = []figure[Upstream]{
	gauge("sluice_mirror_upstream_up", "1 if an upstream, and the hosts that it named, answered when they were asked last; nothing until they were asked.",
		func(u *Upstream) float64 { return truth(!u.Away) }, "upstream"),
	gauge("sluice_mirror_upstream_rate_limit", "Requests that an upstream allows in its window, as it last said; nothing for one that did not say, or whose window is over.",
		func(u *Upstream) float64 { return float64(u.Limits.Limit) }, "upstream"),
	gauge("sluice_mirror_upstream_rate_limit_remaining", "Requests that an upstream last said are left.",
		func(u *Upstream) float64 { return float64(u.Limits.Remaining) }, "upstream"),
	gauge("sluice_mirror_upstream_paused_until_timestamp_seconds", "Until when an upstream is not asked, for it answered 429, as a Unix time; 0 for one that is asked.",
		func(u *Upstream) float64 { return pausedUntil(u, time.Now()) }, "upstream"),
}

func pausedUntil(u *Upstream, now time.Time) float64 {
	if !u.Limits.PausedUntil.After(now) {
		return 0
	}
	return float64(u.Limits.PausedUntil.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (condition) Describe(ch chan<- *prometheus.Desc) {
	describe(ch, serverFigures)
	describe(ch, cacheFigures)
	describe(ch, upstreamFigures)
}

func describe[T any](ch chan<- *prometheus.Desc, list []figure[T]) {
	for _, f := range list {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c condition) Collect(ch chan<- prometheus.Metric) {
	var s State
	if c.o.State != nil {
		s = c.o.State()
	}
	collect(ch, serverFigures, &s)
	if c.o.Store != nil {
		stats := c.o.Store()
		collect(ch, cacheFigures, &stats)
	}
	for _, u := range c.Upstreams() {
		list := upstreamFigures
		if u.Limits.Limit == 0 {
			list = append(list[:1:1], list[3])
		}
		if u.Asked.IsZero() {
			list = list[1:]
		}
		collect(ch, list, &u, u.Name)
	}
}

func collect[T any](ch chan<- prometheus.Metric, list []figure[T], of *T, labels ...string) {
	for _, f := range list {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(of), labels...)
	}
}
