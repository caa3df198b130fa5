package metrics

import "github.com/prometheus/client_golang/prometheus"

// condition collects the server's State.
type condition struct{ *Metrics }

// figure is one figure of a State as a metric.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*State) float64
}

func gauge(name, help string, value func(*State) int) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue,
		func(s *State) float64 { return float64(value(s)) }}
}

func counter(name, help string, labels prometheus.Labels, value func(*State) uint64) figure {
	return figure{prometheus.NewDesc(name, help, nil, labels), prometheus.CounterValue,
		func(s *State) float64 { return float64(value(s)) }}
}

const resetHelp = "Connections reset before they were asked anything, for too many were without a tunnel: by the bound that they were over."

// figures are in the order of State.
var figures = []figure{
	gauge("sluice_tunnels", "Connections to destinations, with those being dialled and those that HTTP clients keep between two requests: what max_tunnels bounds.",
		func(s *State) int { return s.Tunnels }),
	gauge("sluice_max_tunnels", "Bound of sluice_tunnels; 0 if there is none.",
		func(s *State) int { return s.MaxTunnels }),
	gauge("sluice_clients", "Clients that have at least one of sluice_tunnels.",
		func(s *State) int { return s.Clients }),
	gauge("sluice_handshakes", "Connections of clients that hold no tunnel: what max_handshakes bounds.",
		func(s *State) int { return s.Handshakes }),
	gauge("sluice_max_handshakes", "Bound of sluice_handshakes.",
		func(s *State) int { return s.MaxHandshakes }),
	counter("sluice_connections_reset_total", resetHelp, prometheus.Labels{"bound": "handshakes"},
		func(s *State) uint64 { return s.OverHandshakes }),
	counter("sluice_connections_reset_total", resetHelp, prometheus.Labels{"bound": "max_handshakes"},
		func(s *State) uint64 { return s.OverMaxHandshakes }),
	counter("sluice_accept_failures_total", "Failures to accept a connection, mostly for want of descriptors.", nil,
		func(s *State) uint64 { return s.AcceptFailures }),
	counter("sluice_log_records_lost_total", "Records that the access log did not take in time.", nil,
		func(s *State) uint64 { return s.RecordsLost }),
	counter("sluice_panics_total", "Faults of Sluice's own that have ended a connection; the log has each with its stack.", nil,
		func(s *State) uint64 { return s.Panics }),
	gauge("sluice_draining", "1 while the proxy lets its tunnels end and takes no more.",
		func(s *State) int {
			if s.Draining {
				return 1
			}
			return 0
		}),
}

// Describe implements prometheus.Collector.
func (condition) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range figures {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c condition) Collect(ch chan<- prometheus.Metric) {
	s := c.state()
	for _, f := range figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&s))
	}
}
