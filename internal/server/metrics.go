package server

import (
	"sluice/internal/metrics"
	"sluice/internal/track"
)

// count has everything counted from here on.
func (s *Server) count() {
	s.metrics = metrics.New(metrics.Options{
		Version: s.o.Version,
		Live:    s.gate.Live().List,
		State:   s.state,
	})
	s.gate.Count, s.gate.Dialed = s.counted, s.metrics.Dialed
}

// counted is told of the end of each transaction.
func (s *Server) counted(r *track.Record, up, down int64) {
	s.metrics.Count(r, up, down)
	s.handler.Count(r, up, down)
}

func (s *Server) state() metrics.State {
	m := metrics.State{
		Tunnels: s.gate.Tunnels(), MaxTunnels: s.gate.Policy().MaxTunnels,
		Clients:        s.gate.Clients().Busy(),
		AcceptFailures: s.shortage.count(),
		RecordsLost:    s.access.Lost(),
		Panics:         s.panics.Load(),
		Draining:       s.gate.Draining(),
	}
	m.Handshakes, _ = s.waiting.Len()
	_, m.MaxHandshakes = s.waiting.Places()
	m.OverHandshakes, m.OverMaxHandshakes = s.turned.counts()
	return m
}
