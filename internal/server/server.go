// Package server wires a configuration to a running proxy: listeners, gate,
// protocols, log, admin address, and an orderly end. It decides nothing about
// requests.
package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/forward"
	"sluice/internal/accesslog"
	"sluice/internal/config"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/metrics"
	"sluice/internal/relay"
	"sluice/internal/track"
	"sluice/socks"
)

// Server is a proxy whose listeners are open. Serve runs it; whoever has one
// that was never served must Close it.
type Server struct {
	cfg       *config.Config
	log       *zap.Logger
	stderr    *accesslog.Writer // beneath log
	access    *accesslog.Log
	interim   *accesslog.Interim
	gate      *gate.Gate
	metrics   *metrics.Metrics
	http      *forward.Handler
	socks     *socks.Handler
	listeners []*listener
	admin     *adminServer

	waiting  *limit.Connections // those without a tunnel
	conns    connections        // those that no tunnel has taken over
	turned   turnedAway
	spares   spares
	crew     crew
	shortage shortage
	panics   atomic.Uint64
	wg       sync.WaitGroup // accept loops and connections
}

// Options are what a server gets from its process.
type Options struct {
	Stdout io.Writer // access records, unless the configuration names a file
	Stderr io.Writer // everything else
	// Loops is for how many loops of the relay GOMAXPROCS was raised; 0: for none,
	// and they take turns with everything else.
	Loops int
	// Version of this program, for the admin interface and the metrics.
	Version string
}

// New opens all listeners of a configuration, or none. What it has to say about
// the configuration and the process it logs before it returns.
func New(cfg *config.Config, o Options) (*Server, error) {
	format := accesslog.Format(cfg.Log.Format)
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	s := &Server{cfg: cfg, stderr: accesslog.NewWriter(o.Stderr, format, level)}
	s.log = zap.New(s.stderr.Core())
	s.access, err = accesslog.Open(accesslog.Options{
		Format: format, Path: cfg.Log.Access, Stdout: o.Stdout, Debug: level <= zapcore.DebugLevel,
		Refusals: cfg.Log.Refusals, Log: s.log,
	})
	if err != nil {
		s.stderr.Close()
		return nil, err
	}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, err
	}
	process := inspectProcess()
	room := roomFor(cfg, process.descriptors)
	process.warnings = append(process.warnings, room.warnings...)
	policy := s.policy(room)
	s.waiting = limit.NewConnections(cfg.Limits.Handshakes, room.handshakes)
	s.turned.log, s.shortage.log = s.log, s.log
	s.shortage.over = s.spares.plenty
	s.spares.fill()
	s.gate = gate.New(policy, s.access.Record)
	s.gate.Opened = s.access.Opened
	s.interim = accesslog.StartInterim(s.gate.Live(), s.access.Progress, cfg.Log.Interim)
	s.gate.Panicked = s.panicked
	s.count(o.Version)
	loops := o.Loops
	if loops == 0 {
		loops = relay.Loops(runtime.GOMAXPROCS(0))
	}
	if s.gate.Poller, err = relay.NewPoller(loops, o.Loops > 0); err != nil {
		s.Close()
		return nil, err
	}
	s.serveAdmin(o.Version)
	s.http = &forward.Handler{Gate: s.gate}
	s.socks = &socks.Handler{Gate: s.gate}
	s.announce(process, room, policy)
	s.stderr.Sync()
	return s, nil
}

// Addrs returns the addresses that the proxy listeners are bound to.
func (s *Server) Addrs() []netip.AddrPort {
	list := make([]netip.AddrPort, len(s.listeners))
	for i, l := range s.listeners {
		list[i] = l.addr()
	}
	return list
}

// AdminAddr returns the address that the admin interface is bound to, or nil.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.listener.Addr()
}

// ReopenLogs opens the access log's file anew, for logrotate.
func (s *Server) ReopenLogs() {
	if err := s.access.Reopen(); err != nil {
		s.log.Error("reopen logs", zap.Error(err))
		return
	}
	s.log.Info("logs reopened")
}

// Serve accepts until ctx ends. Then it stops accepting, lets what is under way
// go on for the configured drain time or until cut ends, cuts the rest with a
// record each, and returns nil.
func (s *Server) Serve(ctx, cut context.Context) error {
	for _, l := range s.listeners {
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.accept(l)
		}()
	}
	if s.admin != nil {
		s.admin.start()
	}
	<-ctx.Done()
	s.drain(cut)
	return s.Close()
}

func (s *Server) drain(cut context.Context) {
	s.gate.Drain()
	s.closeListeners()
	live := s.gate.Live()
	s.log.Info("draining", zap.Int("tunnels", live.Len()), zap.Stringer("at_most", s.cfg.Server.Drain))
	ctx, cancel := context.WithTimeout(cut, s.cfg.Server.Drain)
	defer cancel()
	if live.Drain(ctx) != nil {
		s.log.Info("drain is over", zap.Int("tunnels_cut", live.KillAll("drain")))
		ctx, cancel := context.WithTimeout(context.Background(), killGrace)
		defer cancel()
		live.Drain(ctx)
	}
	s.conns.closeAll()
	ended := make(chan struct{})
	go func() { s.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(killGrace):
		s.log.Error("connections are left that do not end", zap.Int("tunnels", live.Len()))
	}
}

// killGrace is how long tunnels and requests that were cut have to write their
// records.
const killGrace = time.Second

// Close closes listeners, the admin address and the logs. It waits for the logs
// to take what they have not, a second at most for each.
func (s *Server) Close() error {
	s.closeListeners()
	s.crew.close()
	if s.admin != nil {
		s.admin.close()
	}
	if s.gate != nil && s.gate.Poller != nil {
		s.gate.Poller.Close()
	}
	s.turned.stop()
	s.shortage.stop()
	s.spares.close()
	if s.interim != nil {
		s.interim.Stop()
	}
	err := s.access.Close()
	s.stderr.Close()
	return err
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.tcp.Close()
	}
}

// recovered keeps a panic, should there be one, to its own connection.
func (s *Server) recovered(conn *net.TCPConn) {
	if r := recover(); r != nil {
		s.panicked(0, r, debug.Stack())
		conn.Close()
	}
}

// panicked logs a panic that has ended one connection; id is 0 when that had made
// no request.
func (s *Server) panicked(id track.ID, value any, stack []byte) {
	s.panics.Add(1)
	s.log.Error("panic while serving a connection", zap.Stringer("id", id), zap.Any("panic", value), zap.ByteString("stack", stack))
}
