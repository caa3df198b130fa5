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

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/accesslog"
	"sluice/internal/admin"
	"sluice/internal/config"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/listen"
	"sluice/internal/metrics"
	"sluice/internal/relay"
	"sluice/internal/self"
	"sluice/internal/systemd"
	"sluice/internal/track"
	"sluice/socks"
)

// Server is a proxy whose listeners are open. Serve runs it; whoever has one
// that was never served must Close it.
type Server struct {
	o       Options
	log     *zap.Logger
	stderr  *accesslog.Writer // beneath log
	access  *accesslog.Log
	interim *accesslog.Interim
	gate    *gate.Gate
	metrics *metrics.Metrics
	handler *admin.Handler // of the admin address
	http    *forward.Handler
	socks   *socks.Handler
	process process

	waiting  *limit.Connections // those without a tunnel
	conns    listen.Connections // those that no tunnel has taken over
	turned   turnedAway
	spares   spares
	crew     crew
	shortage shortage
	panics   atomic.Uint64

	reloading chan struct{} // holds the one reload that is under way
	force     atomic.Pointer[force]
	own       atomic.Pointer[func(netip.AddrPort) bool] // see setOwn
	mu        sync.Mutex                                // guards what follows, and changes of force
	serving   bool                                      // listeners of a reload are to be served at once
	ending    bool                                      // no reload comes through any more
	accepting sync.WaitGroup
	leaving   sync.WaitGroup // admin addresses that a reload has given up
	wg        sync.WaitGroup // connections
}

// force is what is in force: a reload puts another one in its place.
type force struct {
	cfg       *config.Config
	loaded    time.Time
	room      room
	listeners []*listener
	admin     *adminServer // nil: there is none
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
	// Load reads the configuration anew, for Reload; nil: there is none to read.
	Load func() (*config.Config, error)
	// Sockets are those that the process was started with, and listens on where the
	// configuration names their addresses; nil: none. The caller closes them after
	// Serve.
	Sockets *systemd.Sockets
	// Notify tells the service manager; nil: there is none. The caller closes it.
	Notify *systemd.Notifier
}

// New opens all listeners of a configuration, or none. What it has to say about
// the configuration and the process it logs before it returns.
func New(cfg *config.Config, o Options) (*Server, error) {
	format := accesslog.Format(cfg.Log.Format)
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	s := &Server{o: o, reloading: make(chan struct{}, 1), stderr: accesslog.NewWriter(o.Stderr, format, level)}
	s.log = zap.New(s.stderr.Core())
	if s.access, err = accesslog.Open(s.logOptions(cfg, level)); err != nil {
		s.stderr.Close()
		return nil, err
	}
	s.force.Store(&force{})
	opened, err := s.open(cfg)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.process = inspectProcess()
	f := &force{cfg: cfg, loaded: time.Now(), room: roomFor(cfg, s.process.descriptors), listeners: opened.listeners, admin: opened.admin}
	s.force.Store(f)
	s.setOwn(nil)
	policy := s.policy(f)
	s.waiting = limit.NewConnections(cfg.Limits.Handshakes, f.room.handshakes)
	s.turned.log, s.shortage.log = s.log, s.log
	s.shortage.over = s.spares.plenty
	s.spares.fill()
	s.gate = gate.New(policy, s.access.Record)
	s.gate.Opened = s.access.Opened
	s.interim = accesslog.StartInterim(s.gate.Live(), s.access.Progress, cfg.Log.Interim)
	s.gate.Panicked = s.panicked
	s.count()
	loops := o.Loops
	if loops == 0 {
		loops = relay.Loops(runtime.GOMAXPROCS(0))
	}
	if s.gate.Poller, err = relay.NewPoller(loops, o.Loops > 0); err != nil {
		s.Close()
		return nil, err
	}
	s.handler = s.newHandler(time.Now())
	pages := &self.Pages{Policy: func() *acl.Policy { return s.gate.Policy().ACL }}
	s.http = &forward.Handler{Gate: s.gate, Self: pages.Answer}
	s.socks = &socks.Handler{Gate: s.gate}
	s.announce(f, policy)
	s.stderr.Sync()
	return s, nil
}

func (s *Server) logOptions(cfg *config.Config, level zapcore.Level) accesslog.Options {
	return accesslog.Options{
		Format: accesslog.Format(cfg.Log.Format), Path: cfg.Log.Access, Stdout: s.o.Stdout,
		Debug: level <= zapcore.DebugLevel, Refusals: cfg.Log.Refusals, Log: s.log,
	}
}

// Addrs returns the addresses that the proxy listeners are bound to.
func (s *Server) Addrs() []netip.AddrPort {
	f := s.force.Load()
	list := make([]netip.AddrPort, len(f.listeners))
	for i, l := range f.listeners {
		list[i] = l.addr()
	}
	return list
}

// AdminAddr returns the address that the admin interface is bound to, or nil.
func (s *Server) AdminAddr() net.Addr {
	if a := s.force.Load().admin; a != nil {
		return a.listener.Addr()
	}
	return nil
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
	s.mu.Lock()
	s.serving = true
	f := s.force.Load()
	s.start(f.listeners, f.admin)
	s.mu.Unlock()
	unwatched := s.o.Notify.Supervise(ctx, s.health())
	<-ctx.Done()
	s.drain(cut)
	unwatched()
	return s.Close()
}

// start begins to serve what was opened; admin may be nil. The caller holds mu.
func (s *Server) start(listeners []*listener, admin *adminServer) {
	for _, l := range listeners {
		s.accepting.Add(1)
		go func() {
			defer s.accepting.Done()
			defer close(l.stopped)
			s.accept(l)
		}()
	}
	if admin != nil {
		admin.start(s.handler)
	}
}

func (s *Server) drain(cut context.Context) {
	live := s.gate.Live()
	s.gate.Drain()
	s.mu.Lock()
	s.ending = true
	f := s.force.Load()
	s.mu.Unlock()
	within := f.cfg.Server.Drain
	s.tell(s.o.Notify.Stopping(within+lastRequestTime+endTime, s.status()))
	for _, l := range f.listeners {
		l.retire()
	}
	s.accepting.Wait()
	s.lastRequests(cut, f.listeners)
	s.log.Info("draining", zap.Int("tunnels", live.Len()), zap.Stringer("at_most", within))
	ctx, cancel := context.WithTimeout(cut, within)
	defer cancel()
	if live.Drain(ctx) != nil {
		s.log.Info("drain is over", zap.Int("tunnels_cut", live.KillAll("drain")))
		ctx, cancel := context.WithTimeout(context.Background(), killGrace)
		defer cancel()
		live.Drain(ctx)
	}
	s.conns.CloseAll()
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

// endTime bounds what comes after the drain: the two waits of killGrace, and what
// Close waits for the logs.
const endTime = 2*killGrace + 3*time.Second

// Close closes listeners, the admin address and the logs. It waits for the logs
// to take what they have not, a second at most for each.
func (s *Server) Close() error {
	f := s.force.Load()
	for _, l := range f.listeners {
		l.tcp.Close()
	}
	s.crew.close()
	if f.admin != nil {
		f.admin.close()
	}
	if s.handler != nil {
		s.handler.Close()
	}
	s.leaving.Wait()
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
