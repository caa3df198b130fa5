package metrics

import (
	"testing"

	"sluice/internal/egress"
	"sluice/internal/lab/reference"
	"sluice/internal/track"
)

// everything returns metrics that have every series once.
func everything() *Metrics {
	m := New(Options{})
	for p := track.Protocol(1); int(p) <= protocols; p++ {
		for _, outcome := range m.names {
			m.Count(&track.Record{Protocol: p, Outcome: outcome}, 1, 1)
			m.Count(&track.Record{Protocol: p, Outcome: outcome, Rule: "docker-hosts", Decision: "observe"}, 1, 1)
		}
	}
	return m
}

func TestTheReferenceHasEveryMetric(t *testing.T) {
	open := []string{"kind", "outcome", "rule", "version", "goversion", "le", "quantile"} // what values these have is up to others
	values := reference.CheckMetrics(t, "METRICS.md", everything().registry, open...)
	if n := len(values["outcome"]); n != len(egress.Kinds())+1 {
		t.Errorf("%d outcomes are counted", n)
	}
}
