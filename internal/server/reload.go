package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/accesslog"
	"sluice/internal/config"
)

// What keeps a reload from being done, beside a configuration with errors.
var (
	ErrNothingToLoad = errors.New("there is no configuration to read again")
	ErrEnding        = errors.New("this proxy is shutting down, so it takes no new configuration")
)

// Reload reads the configuration anew and puts it in force, or changes nothing and
// returns why: a config.Errors, what kept a listener or the log from being opened, or
// one of the errors above. Listeners that stay are not touched, added ones are open
// when it returns, removed ones have stopped accepting. Live tunnels go on, under the
// new limits; see gate.Swap. Of two at once one waits for the other, or until ctx ends.
// The warnings are those of the new configuration.
func (s *Server) Reload(ctx context.Context) (warnings []string, err error) {
	if err := s.turn(ctx); err != nil {
		s.log.Warn("reload: nothing was changed", zap.Error(err))
		return nil, err
	}
	defer func() { <-s.reloading }()
	s.tell(s.o.Notify.Reloading())
	begun := time.Now()
	c, err := s.exchange()
	if err == nil {
		c.sockets.close(c.served)
	}
	s.setOwn(nil)
	s.reloaded(c, begun, err)
	if err != nil {
		return nil, err
	}
	for _, w := range c.to.cfg.Warnings {
		warnings = append(warnings, w.String())
	}
	return append(warnings, c.to.room.warnings...), nil
}

// turn waits until no other reload is under way. One may be for ever: the file can be
// on a disk that hangs.
func (s *Server) turn(ctx context.Context) error {
	if s.gate.Draining() {
		return ErrEnding
	}
	select {
	case s.reloading <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("another reload is not over: %w", ctx.Err())
	}
	if s.gate.Draining() {
		<-s.reloading
		return ErrEnding
	}
	return nil
}

// exchange reads a configuration and puts it in force. A file that makes the program
// panic must not end the tunnels that are live.
func (s *Server) exchange() (c *change, err error) {
	defer func() {
		if v := recover(); v != nil {
			if c != nil && s.force.Load() != c.to {
				c.abort()
			}
			s.panics.Add(1)
			s.log.Error("panic in a reload", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("the reload has met a fault of this program: %v", v)
		}
	}()
	if c, err = s.load(); err != nil {
		return nil, err
	}
	return c, s.apply(c)
}

// change is what a reload is about to do.
type change struct {
	from, to *force
	level    zapcore.Level
	sockets  *opening
	log      *accesslog.Change
	ended    int  // tunnels
	served   bool // what is open was served already
}

// abort gives up what was opened.
func (c *change) abort() {
	c.sockets.abort()
	c.log.Abort()
}

// load does all of a reload that can fail.
func (s *Server) load() (*change, error) {
	if s.o.Load == nil {
		return nil, ErrNothingToLoad
	}
	cfg, err := s.read()
	if err != nil {
		return nil, err
	}
	c := &change{from: s.force.Load()}
	if c.level, err = zapcore.ParseLevel(cfg.Log.Level); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	if c.sockets, err = s.open(cfg); err != nil {
		return nil, err
	}
	if c.log, err = s.access.Prepare(s.logOptions(cfg, c.level)); err != nil {
		c.sockets.abort()
		return nil, err
	}
	c.to = &force{
		cfg: cfg, loaded: time.Now(), room: roomFor(cfg, s.process.descriptors),
		listeners: c.sockets.listeners, admin: c.sockets.admin,
	}
	return c, nil
}

// thrift is how far the heap may grow between two collections while a configuration
// is read, in percent: the old rules are there as well, and both may be many.
const thrift = 20

// read reads the configuration without taking much more memory than it needs.
func (s *Server) read() (*config.Config, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(thrift))
	return s.o.Load()
}

// apply puts a change in force, unless the end of the process has come before it.
func (s *Server) apply(c *change) error {
	policy := s.policy(c.to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		c.abort()
		return ErrEnding
	}
	cfg := c.to.cfg
	for i, l := range c.to.listeners {
		l.settings.Store(&cfg.Listeners[i])
	}
	s.force.Store(c.to)
	s.waiting.Resize(cfg.Limits.Handshakes, c.to.room.handshakes)
	c.ended = s.gate.Swap(policy)
	c.log.Commit()
	s.stderr.Change(accesslog.Format(cfg.Log.Format), c.level)
	s.interim.Change(cfg.Log.Interim)
	var admin *adminServer
	if c.to.admin != c.from.admin {
		admin = c.to.admin
		if c.from.admin != nil {
			c.from.admin.retire(&s.leaving)
		}
	}
	if c.served = s.serving; c.served {
		s.start(c.sockets.fresh, admin)
	}
	return nil
}

// reloaded says everywhere what came of a reload; c is nil when nothing was loaded.
func (s *Server) reloaded(c *change, begun time.Time, err error) {
	s.metrics.Reloaded(err)
	s.handler.Reloaded(err)
	defer func() { s.tell(s.o.Notify.Ready(s.status())) }()
	if err != nil {
		var list config.Errors
		if !errors.As(err, &list) {
			s.log.Error("reload: nothing was changed", zap.Error(err))
			return
		}
		for _, e := range list {
			s.log.Error("reload: nothing was changed", zap.Error(e))
		}
		return
	}
	s.announceChange(c)
	s.log.Info("configuration reloaded", zap.String("file", c.to.cfg.Path),
		zap.Int("rules", len(c.to.cfg.Rules)),
		zap.Int("listeners_opened", len(c.sockets.fresh)), zap.Int("listeners_closed", len(c.sockets.leaving)),
		zap.Int("tunnels_ended", c.ended), zap.Duration("seconds", time.Since(begun)))
	debug.FreeOSMemory() // the old rules may have been many
}

// announceChange logs what is another than before.
func (s *Server) announceChange(c *change) {
	policy := s.gate.Policy()
	before := make(map[string]int, len(c.from.cfg.Rules))
	for i, r := range c.from.cfg.Rules {
		before[r.Name] = i
	}
	for i, r := range c.to.cfg.Rules {
		old, known := before[r.Name]
		if !known || !reflect.DeepEqual(c.from.cfg.Rules[old], r) {
			s.announceRule(c.to.cfg, i, policy)
		}
		delete(before, r.Name)
	}
	for _, r := range c.from.cfg.Rules {
		if _, gone := before[r.Name]; gone {
			s.log.Info("rule removed", zap.String("rule", r.Name))
		}
	}
	s.announceWarnings(c.to)
	for _, l := range c.sockets.leaving {
		s.log.Info("no longer listening", zap.Stringer("address", l.addr()))
	}
	s.announceListeners(c.sockets.fresh)
	if c.to.admin != c.from.admin {
		s.announceAdmin(c.to.admin)
	}
}
