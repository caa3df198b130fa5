package server

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"sluice/internal/systemd"
)

// health is what the service manager is told of.
func (s *Server) health() systemd.Health {
	return systemd.Health{
		Check: s.healthy, Status: s.status,
		Report: func(err error) { s.log.Error("service manager", zap.Error(err)) },
	}
}

// tell logs that the service manager could not be told something.
func (s *Server) tell(err error) {
	if err != nil {
		s.log.Warn("service manager was not told", zap.Error(err))
	}
}

// status is one line about the service: "serving 12 tunnels".
func (s *Server) status() string {
	doing, left := "serving", ""
	if s.gate.Draining() {
		doing, left = "draining,", " left"
	}
	n, what := s.gate.Live().Len(), "tunnels"
	if n == 1 {
		what = "tunnel"
	}
	return fmt.Sprintf("%s %d %s%s", doing, n, what, left)
}

// healthy takes locks that every tunnel takes, and has each loop of the relay answer.
// What hangs there would hold up tunnels without a sign. It asks for nothing that a
// reload holds: one with a million rules may take its time, and a service manager would
// end for that a process that serves.
func (s *Server) healthy(ctx context.Context) error {
	s.gate.Live().Len()
	s.gate.Clients().Len()
	s.waiting.Len()
	return s.gate.Poller.Answers(ctx)
}
