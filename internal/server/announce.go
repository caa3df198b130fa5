package server

import (
	"go.uber.org/zap"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/gate"
	"sluice/internal/self"
)

// announce logs what an operator wants to read at the start: what listens, who
// may go where, and what is unsafe.
func (s *Server) announce(f *force, policy *gate.Policy) {
	if f.cfg.Path != "" {
		s.log.Info("configuration read", zap.String("file", f.cfg.Path))
	}
	for i := range f.cfg.Rules {
		s.announceRule(f.cfg, i, policy)
	}
	for _, w := range s.process.warnings {
		s.log.Warn(w)
	}
	s.announceWarnings(f)
	s.announceListeners(f.listeners)
	s.announceClients(f)
	s.announceAdmin(f.admin)
	perClient, handshakes := s.waiting.Places()
	s.log.Info("ready",
		zap.Int("max_tunnels", f.room.tunnels), zap.Int("max_handshakes", handshakes), zap.Int("handshakes", perClient),
		zap.Uint64("max_descriptors", s.process.descriptors),
		zap.Stringer("handshake", policy.Handshake), zap.Stringer("idle", policy.Idle))
}

// announceWarnings logs what is valid but hardly meant, and what there is no room
// for. Sockets of the service manager that no listener has are among it: clients
// connect there, and nobody answers.
func (s *Server) announceWarnings(f *force) {
	for _, w := range f.cfg.Warnings {
		s.log.Warn(w.String())
	}
	for _, w := range f.room.warnings {
		s.log.Warn(w)
	}
	addresses := []string{f.cfg.Admin}
	for _, l := range f.cfg.Listeners {
		addresses = append(addresses, l.Address)
	}
	for _, socket := range s.o.Sockets.Unused(addresses) {
		s.log.Warn("a socket that was passed to this process is no listener's: clients connect there, and nobody answers", zap.Stringer("socket", socket))
	}
}

func (s *Server) announceListeners(listeners []*listener) {
	for _, l := range listeners {
		fields := []zap.Field{zap.Stringer("address", l.addr()), zap.Stringer("protocol", l.settings.Load().Protocol)}
		if l.inherited {
			fields = append(fields, zap.Bool("inherited", true))
		}
		s.log.Info("listening", fields...)
	}
}

// announceClients logs what to type on a client's machine, if there can be one. Which
// of this machine's addresses a client reaches is a guess: it may be another one
// outside.
func (s *Server) announceClients(f *force) {
	client, ok := self.Somebody(f.cfg.Policy)
	if !ok {
		return
	}
	for _, l := range f.listeners {
		if l.settings.Load().Protocol == config.SOCKS5 {
			continue
		}
		if proxy, ok := self.Reachable(l.addr(), client); ok {
			s.log.Info("on a client, for its Docker: " + self.Command(proxy, "docker") + "   (by the address that it has for this machine, if that is another)")
			return
		}
	}
}

func (s *Server) announceAdmin(a *adminServer) {
	if a != nil {
		s.log.Info("admin address", zap.String("address", a.listener.Addr().String()))
	}
}

// shown bounds how much of a long list stands in one line of the log.
const shown = 12

func (s *Server) announceRule(cfg *config.Config, i int, policy *gate.Policy) {
	r, l := cfg.Rules[i], policy.Limits[i]
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
