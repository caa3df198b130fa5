package server

import (
	"go.uber.org/zap"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/gate"
)

// announce logs what an operator wants to read at the start: what listens, who
// may go where, and what is unsafe.
func (s *Server) announce(p process, r room, policy *gate.Policy) {
	if s.cfg.Path != "" {
		s.log.Info("configuration read", zap.String("file", s.cfg.Path))
	}
	for i := range s.cfg.Rules {
		s.announceRule(i, policy)
	}
	for _, w := range s.cfg.Warnings {
		s.log.Warn(w.String())
	}
	for _, w := range p.warnings {
		s.log.Warn(w)
	}
	for _, l := range s.listeners {
		s.log.Info("listening", zap.Stringer("address", l.addr()), zap.Stringer("protocol", l.Protocol))
	}
	if s.admin != nil {
		s.log.Info("admin address", zap.String("address", s.admin.listener.Addr().String()))
	}
	s.log.Info("ready",
		zap.Int("max_tunnels", r.tunnels), zap.Int("max_handshakes", r.handshakes), zap.Int("handshakes", s.cfg.Limits.Handshakes),
		zap.Uint64("max_descriptors", p.descriptors),
		zap.Stringer("handshake", policy.Handshake), zap.Stringer("idle", policy.Idle))
}

// shown bounds how much of a long list stands in one line of the log.
const shown = 12

func (s *Server) announceRule(i int, policy *gate.Policy) {
	r, l := s.cfg.Rules[i], policy.Limits[i]
	fields := []zap.Field{zap.String("rule", r.Name), zap.Stringer("action", r.Action)}
	fields = append(fields, list("clients", r.Clients, "anyone"), list("to", r.To, "anywhere public"))
	if len(r.Users) > 0 {
		fields = append(fields, list("users", r.Users, ""))
	}
	ports := make([]string, len(r.Ports))
	for j, p := range r.Ports {
		ports[j] = p.String()
	}
	fields = append(fields, list("ports", ports, "80, 443"))
	if r.Mode == acl.Observe {
		fields = append(fields, zap.Stringer("mode", r.Mode))
	}
	if r.Action == acl.Allow {
		fields = append(fields, zap.Stringer("download", config.Rate(l.Download)), zap.Stringer("upload", config.Rate(l.Upload)))
	}
	s.log.Info("rule", fields...)
}

func list(key string, items []string, none string) zap.Field {
	switch {
	case len(items) == 0:
		return zap.String(key, none)
	case len(items) > shown:
		return zap.Strings(key, append(items[:shown:shown], "…"))
	}
	return zap.Strings(key, items)
}
