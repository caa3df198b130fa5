package mirror

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/accesslog"
	"sluice/internal/config/strict"
)

// What keeps a reload from being done, beside a configuration with errors.
var (
	ErrNothingToLoad = errors.New("there is no configuration to read again")
	ErrEnding        = errors.New("this mirror is shutting down, so it takes no new configuration")
)

// Reload reads the configuration anew and puts it in force, or changes nothing and
// returns why: a strict.Errors, what kept a listener, a certificate or the log from being
// opened, ErrFixed, or one of the errors above. Listeners that stay are not touched,
// added ones are open when it returns, removed ones have stopped accepting. What is under
// way goes on. Of two at once one waits for the other, or until ctx ends. The warnings
// are those of the new configuration.
func (s *Server) Reload(ctx context.Context) (warnings []string, err error) {
	if s.draining.Load() {
		return nil, ErrEnding
	}
	select {
	case s.reloading <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("another reload is not over: %w", ctx.Err())
	}
	defer func() { <-s.reloading }()
	s.tell(s.o.Notify.Reloading())
	f, err := s.exchange()
	s.metrics.Reloaded(err)
	s.tell(s.o.Notify.Ready(s.status()))
	if err != nil {
		s.notReloaded(err)
		return nil, err
	}
	s.log.Info("configuration reloaded", zap.String("file", f.cfg.Path),
		zap.Int("rules", len(f.cfg.Rules)), zap.Int("upstreams", len(f.registries)),
		zap.Int("listeners_opened", len(f.fresh)), zap.Int("listeners_closed", len(f.leaving)))
	for _, w := range f.allWarnings() {
		s.log.Warn(w)
	}
	return f.allWarnings(), nil
}

func (s *Server) notReloaded(err error) {
	var list strict.Errors
	if !errors.As(err, &list) {
		s.log.Error("reload: nothing was changed", zap.Error(err))
		return
	}
	for _, e := range list {
		s.log.Error("reload: nothing was changed", zap.Error(e))
	}
}

// exchange reads a configuration and puts it in force. A file that makes the program
// panic must not end what is under way.
func (s *Server) exchange() (f *force, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, debug.Stack())
			err = fmt.Errorf("the reload has met a fault of this program: %v", v)
		}
	}()
	if s.o.Load == nil {
		return nil, ErrNothingToLoad
	}
	cfg, err := s.o.Load()
	if err != nil {
		return nil, err
	}
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	before := s.force.Load()
	log, err := s.access.Prepare(s.logOptions(cfg))
	if err != nil {
		return nil, err
	}
	if f, err = s.build(cfg, before); err != nil {
		log.Abort()
		return nil, err
	}
	if !s.apply(f) {
		log.Abort()
		f.abort(before)
		return nil, ErrEnding
	}
	log.Commit()
	s.stderr.Change(accesslog.Format(cfg.Log.Format), level)
	s.leave(before, f)
	return f, nil
}

// apply puts in force what was built, unless the end of the process has come before it.
func (s *Server) apply(f *force) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	for l, state := range f.states {
		l.server.(*pullServer).state.Store(state)
	}
	s.force.Store(f)
	s.mirror.Swap(f.pullPolicy())
	for _, l := range f.listeners {
		if t, ok := l.server.(*transparentServer); ok && f.tunnels != nil {
			t.handler.Store(f.within)
			t.Swap(f.tunnels)
		}
	}
	s.store.Resize(f.cfg.Cache.MaxSize)
	s.places.Resize(f.cfg.Limits.Connections, placesFor(f.cfg, s.descriptors))
	s.setOwn(f.listeners)
	if s.serving {
		for _, l := range f.fresh {
			l.start()
		}
	}
	return true
}

// leave ends what is not in force any more, in its own time.
func (s *Server) leave(before, f *force) {
	for _, l := range f.leaving {
		s.leaving.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), f.cfg.Server.Drain+time.Second)
			defer cancel()
			l.drain(ctx)
		})
	}
	for _, r := range before.registries {
		if !f.has(r) {
			r.client.Close() // its idle connections: requests that are under way end by themselves
		}
	}
}
