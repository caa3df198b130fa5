package metrics

import (
	"maps"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/track"
)

// series is what is counted under one rule, so that nothing is looked up by its
// labels when it is counted.
type series struct {
	requests [protocols + 1][]atomic.Uint64 // by protocol and outcome
	observed [protocols + 1]atomic.Uint64   // requests that would have been refused
	up, down [protocols + 1]atomic.Uint64   // bytes by protocol
}

// of returns the series of a rule.
func (m *Metrics) of(rule string) *series {
	if s := (*m.rules.Load())[rule]; s != nil {
		return s
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	old := *m.rules.Load()
	if s := old[rule]; s != nil {
		return s
	}
	s := &series{}
	for p := range s.requests {
		s.requests[p] = make([]atomic.Uint64, len(m.names))
	}
	rules := maps.Clone(old)
	rules[rule] = s
	m.rules.Store(&rules)
	return s
}

func (s *series) add(p track.Protocol, up, down int64) {
	if up > 0 {
		s.up[p].Add(uint64(up))
	}
	if down > 0 {
		s.down[p].Add(uint64(down))
	}
}

// Count counts what has ended, with the bytes that were not counted while it was
// live, as a Gate tells it.
func (m *Metrics) Count(r *track.Record, up, down int64) {
	s, outcome := m.of(r.Rule), m.outcomes[r.Outcome]
	s.requests[r.Protocol][outcome].Add(1)
	s.add(r.Protocol, up, down)
	if r.Decision == m.observe {
		s.observed[r.Protocol].Add(1)
	}
	if outcome == 0 {
		m.lifetime(r.Protocol, r.Total)
	}
}

// countLive counts what has passed through what is live since the last time, and
// returns how many there are of each protocol. Whoever comes meanwhile waits: bytes
// that were asked for and are not counted yet would be missing for him.
func (m *Metrics) countLive() (live [protocols + 1]int) {
	m.counting.Lock()
	defer m.counting.Unlock()
	for _, l := range m.live() {
		u := l.Uncounted()
		live[u.Protocol]++
		if u.Up != 0 || u.Down != 0 {
			m.of(u.Rule).add(u.Protocol, u.Up, u.Down)
		}
	}
	return live
}

// Totals returns the bytes relayed since the start, client to origin and back, and how
// many requests have ended with each outcome; those that never came are left out. A
// byte is counted once, whoever asks. It costs what asking each live transaction
// costs: some ms for 20,000 of them.
func (m *Metrics) Totals() (up, down int64, requests map[string]uint64) {
	m.countLive()
	requests = make(map[string]uint64)
	for _, s := range *m.rules.Load() {
		for p := range s.requests {
			up += int64(s.up[p].Load())
			down += int64(s.down[p].Load())
			for i := range s.requests[p] {
				if n := s.requests[p][i].Load(); n > 0 {
					requests[m.names[i]] += n
				}
			}
		}
	}
	return up, down, requests
}

// traffic collects requests and bytes.
type traffic struct{ *Metrics }

var (
	requestsDesc = prometheus.NewDesc("sluice_requests_total",
		"Tunnels and HTTP requests that have ended, or were refused.",
		[]string{"protocol", "rule", "outcome"}, nil)
	observedDesc = prometheus.NewDesc("sluice_observed_refusals_total",
		"Requests that rules refuse, and that have passed, for their mode is observe.",
		[]string{"protocol", "rule"}, nil)
	bytesDesc = prometheus.NewDesc("sluice_bytes_total",
		"Bytes relayed, counted while they pass: up is client to origin.",
		[]string{"direction", "protocol", "rule"}, nil)
	inProgressDesc = prometheus.NewDesc("sluice_requests_in_progress",
		"Tunnels and HTTP requests under way.",
		[]string{"protocol"}, nil)
)

// Describe implements prometheus.Collector.
func (traffic) Describe(ch chan<- *prometheus.Desc) {
	ch <- requestsDesc
	ch <- observedDesc
	ch <- bytesDesc
	ch <- inProgressDesc
}

// Collect implements prometheus.Collector. What never came is left out: of some
// dozens of combinations for each rule few ever do.
func (t traffic) Collect(ch chan<- prometheus.Metric) {
	live := t.countLive()
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		if n > 0 {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
		}
	}
	for p := track.Protocol(1); int(p) <= protocols; p++ {
		ch <- prometheus.MustNewConstMetric(inProgressDesc, prometheus.GaugeValue, float64(live[p]), p.String())
		for rule, s := range *t.rules.Load() {
			counter(observedDesc, s.observed[p].Load(), p.String(), rule)
			counter(bytesDesc, s.up[p].Load(), "up", p.String(), rule)
			counter(bytesDesc, s.down[p].Load(), "down", p.String(), rule)
			for i := range s.requests[p] {
				counter(requestsDesc, s.requests[p][i].Load(), p.String(), rule, t.names[i])
			}
		}
	}
}
