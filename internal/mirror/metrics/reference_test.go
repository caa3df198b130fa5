package metrics

import (
	"testing"

	"sluice/internal/lab/reference"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// everything returns metrics that have every series once.
func everything() *Metrics {
	m := New(Options{
		Store:     func() store.Stats { return store.Stats{} },
		Upstreams: docker(upstream.Limits{Limit: 1}),
	})
	for _, how := range append(record.Hows(), "") {
		for _, kind := range record.Kinds() {
			for _, status := range []int{0, 101, 200, 307, 404, 502} {
				m.Count(pull(kind, how, status, 1))
				m.Upstream(upstream.Event{Upstream: "docker.io", Kind: string(kind), Status: max(100, status)})
			}
		}
	}
	m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "token", Status: 200})
	for failure := upstream.Unauthorized; failure.String() != ""; failure++ {
		m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "ping", Failure: failure})
	}
	return m
}

func TestTheReferenceHasEveryMetric(t *testing.T) {
	// What values these labels have is up to others.
	reference.CheckMetrics(t, "METRICS.md", everything().registry, "upstream", "version", "goversion")
}
