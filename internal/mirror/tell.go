package mirror

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"sluice/internal/mirror/metrics"
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

func (s *Server) status() string {
	doing, n, what := "serving", s.requests.Load(), "requests"
	if s.draining.Load() {
		doing = "draining,"
	}
	if n == 1 {
		what = "request"
	}
	return fmt.Sprintf("%s %d %s", doing, n, what)
}

// healthy takes the locks that every request takes: what hangs there would hold up all
// of them without a sign.
func (s *Server) healthy(context.Context) error {
	s.store.Stats()
	s.places.Len()
	return nil
}

// announce says what was started.
func (s *Server) announce(f *force) {
	stats := s.store.Stats()
	s.log.Info("cache", zap.String("directory", f.cfg.Cache.Directory), zap.Int64("bytes", stats.Bytes),
		zap.Int("blobs", stats.Blobs), zap.Int64("max_size", stats.MaxSize))
	for _, r := range f.registries {
		s.log.Info("upstream", zap.String("name", r.settings.Name), zap.Stringer("url", r.settings.URL),
			zap.Bool("default", r.settings.Default), zap.Bool("credentials", r.client.HasCredentials()),
			zap.Bool("by_proxy", r.settings.Proxy != nil))
	}
	if f.authority != nil {
		s.log.Info("certificate authority", zap.String("directory", f.cfg.Authority), zap.String("sha256", f.authority.Fingerprint()))
	}
	for _, w := range f.allWarnings() {
		s.log.Warn(w)
	}
	for _, l := range f.listeners {
		s.log.Info("listening", zap.String("for", l.purpose()), zap.Stringer("address", l.net.Addr()))
	}
	s.log.Info("ready", zap.String("version", s.o.Version), zap.String("file", f.cfg.Path))
}

// allWarnings returns what is hardly meant.
func (f *force) allWarnings() (list []string) {
	for _, w := range f.cfg.Warnings {
		list = append(list, w.String())
	}
	return append(list, f.warnings...)
}

func (s *Server) upstreamStates() (list []metrics.UpstreamState) {
	f := s.force.Load()
	if f == nil {
		return nil
	}
	for _, r := range f.registries {
		list = append(list, metrics.UpstreamState{Name: r.settings.Name, URL: r.settings.URL.Redacted(), Limits: r.client.RateLimit()})
	}
	return list
}

func (s *Server) state() metrics.State {
	connections, _ := s.places.Len()
	_, most := s.places.Places()
	return metrics.State{
		Connections: connections, MaxConnections: most, Requests: int(s.requests.Load()),
		AcceptFailures: s.failures.Load(), RecordsLost: s.access.Lost(), Panics: s.panics.Load(), Draining: s.draining.Load(),
	}
}

// inForce returns the configuration as JSON.
func (s *Server) inForce() []byte { return s.force.Load().cfg.AppendJSON(nil) }
