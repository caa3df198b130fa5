// Package mirror wires a configuration to a running registry mirror: listeners, cache,
// upstreams, log, admin address, and an orderly end. It decides nothing about requests.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"sluice/internal/accesslog"
	"sluice/internal/limit"
	"sluice/internal/mirror/console"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
	"sluice/internal/process"
	"sluice/internal/systemd"
)

// Server is a mirror whose listeners are open. Serve runs it; whoever has one that was
// never served must Close it.
type Server struct {
	o       Options
	stderr  *accesslog.Writer
	log     *zap.Logger // on stderr
	access  record.Log
	recent  *record.Ring
	metrics *metrics.Metrics
	store   *store.Store
	mirror  *pull.Mirror
	console *console.Handler
	via     string
	places  *limit.Connections
	turned  *zap.Logger // of connections that find no place: a line in ten seconds

	recorded   *rate.Limiter // of records about requests that find none
	unrecorded atomic.Uint64 // those that had no record since a line has told of it

	own      atomic.Pointer[func(netip.AddrPort) bool] // see setOwn
	requests atomic.Int64                              // being answered
	failures atomic.Uint64                             // of accepting
	panics   atomic.Uint64
	draining atomic.Bool

	reloading chan struct{} // holds the one reload that is under way
	force     atomic.Pointer[force]
	mu        sync.Mutex // guards what follows, and changes of force
	serving   bool       // listeners of a reload are to be served at once
	ending    bool       // no reload comes through any more
	leaving   sync.WaitGroup

	descriptors uint64 // that the process may have; 0: not known
}

// Options are what a server gets from its process.
type Options struct {
	Stdout io.Writer // records, unless the configuration names a file
	Stderr io.Writer // everything else
	// Version of this program, for the admin interface and the metrics.
	Version string
	// Load reads the configuration anew, for Reload; nil: there is none to read.
	Load func() (*settings.Config, error)
	// Sockets are those that the process was started with, and listens on where the
	// configuration names their addresses; nil: none. The caller closes them after
	// Serve.
	Sockets *systemd.Sockets
	// Notify tells the service manager; nil: there is none. The caller closes it.
	Notify *systemd.Notifier
}

// turnedAwayEvery is how often it is said that connections find no place.
const turnedAwayEvery = 10 * time.Second

// latest is how many records are kept for the admin interface.
const latest = 500

// New opens the cache and all listeners of a configuration, or nothing.
func New(cfg *settings.Config, o Options) (*Server, error) {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	s := &Server{o: o, via: upstream.NewVia(), recent: record.NewRing(latest), reloading: make(chan struct{}, 1), recorded: rate.NewLimiter(recordedEverSince, recordedAtOnce)}
	s.stderr = accesslog.NewWriter(o.Stderr, accesslog.Format(cfg.Log.Format), level)
	s.log = zap.New(s.stderr.Core())
	s.setOwn(nil)
	if err := s.open(cfg); err != nil {
		_ = s.Close() // why it cannot be opened matters more
		return nil, err
	}
	s.announce(s.force.Load())
	s.stderr.Sync()
	return s, nil
}

func (s *Server) open(cfg *settings.Config) (err error) {
	if s.access, err = record.Open(s.logOptions(cfg)); err != nil {
		return err
	}
	if s.store, err = store.Open(store.Options{Dir: cfg.Cache.Directory, MaxSize: cfg.Cache.MaxSize, Log: s.log}); err != nil {
		return fmt.Errorf("cache %s: %w", cfg.Cache.Directory, err)
	}
	var warning string
	if s.descriptors, warning = process.Descriptors(); warning != "" {
		s.log.Warn(warning)
	}
	s.places = limit.NewConnections(cfg.Limits.Connections, placesFor(cfg, s.descriptors))
	s.turned = zap.New(zapcore.NewSamplerWithOptions(s.stderr.Core(), turnedAwayEvery, 1, 0))
	s.metrics = metrics.New(metrics.Options{Version: s.o.Version, Store: s.store.Stats, Upstreams: s.upstreamStates, State: s.state})
	s.mirror = pull.New(s.store, pull.Options{Log: s.log})
	s.console = console.New(console.Options{
		Store: s.store, Directory: cfg.Cache.Directory, Metrics: s.metrics, Recent: s.recent, Version: s.o.Version, Started: time.Now(),
		Config: s.inForce, Reload: s.Reload, Draining: s.draining.Load, Panicked: s.panicked,
	})
	f, err := s.build(cfg, nil)
	if err != nil {
		return err
	}
	s.apply(f)
	return nil
}

func (s *Server) logOptions(cfg *settings.Config) accesslog.Options {
	return accesslog.Options{Format: accesslog.Format(cfg.Log.Format), Path: cfg.Log.Access, Stdout: s.o.Stdout, Log: s.log}
}

// Addrs returns the addresses that images are pulled from.
func (s *Server) Addrs() []netip.AddrPort { return s.addrs(pulling) }

// TransparentAddr returns the address of the transparent way; not valid: there is none.
func (s *Server) TransparentAddr() (a netip.AddrPort) {
	for _, a = range s.addrs(transparent) {
	}
	return a
}

func (s *Server) addrs(k kind) (list []netip.AddrPort) {
	for _, l := range s.force.Load().listeners {
		if tcp, ok := l.net.Addr().(*net.TCPAddr); ok && l.kind == k {
			list = append(list, tcp.AddrPort())
		}
	}
	return list
}

// AdminAddr returns the address that the admin interface is bound to, or nil.
func (s *Server) AdminAddr() net.Addr {
	for _, l := range s.force.Load().listeners {
		if l.kind == admin {
			return l.net.Addr()
		}
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

// Serve accepts until ctx ends. Then it stops accepting, lets what is under way go on
// for the configured drain time or until cut ends, cuts the rest with a record each, and
// returns nil.
func (s *Server) Serve(ctx, cut context.Context) error {
	s.mu.Lock()
	s.serving = true
	for _, l := range s.force.Load().listeners {
		l.start()
	}
	s.mu.Unlock()
	unwatched := s.o.Notify.Supervise(ctx, s.health())
	<-ctx.Done()
	s.drain(cut)
	unwatched()
	return s.Close()
}

// killGrace is how long requests that were cut have to write their records.
const killGrace = time.Second

func (s *Server) drain(cut context.Context) {
	s.draining.Store(true)
	s.mu.Lock()
	s.ending = true
	f := s.force.Load()
	s.mu.Unlock()
	within := f.cfg.Server.Drain
	s.tell(s.o.Notify.Stopping(within+2*killGrace+3*time.Second, s.status()))
	s.log.Info("draining", zap.Int64("requests", s.requests.Load()), zap.Stringer("at_most", within))
	ctx, cancel := context.WithTimeout(cut, within)
	defer cancel()
	var ends sync.WaitGroup
	for _, l := range f.listeners {
		if l.kind != admin {
			ends.Go(func() { l.drain(ctx) })
		}
	}
	ends.Wait()
	if n := s.requests.Load(); n > 0 {
		s.log.Info("drain is over", zap.Int64("requests_cut", n))
	}
}

// Close closes listeners, the admin address, the cache and the logs. It waits for the
// logs to take what they have not, a second at most for each.
func (s *Server) Close() error {
	var errs []error
	f := s.force.Load()
	if f != nil {
		for _, l := range f.listeners {
			l.close()
		}
	}
	s.leaving.Wait()
	s.settle()
	if s.console != nil {
		s.console.Close()
	}
	if s.mirror != nil {
		errs = append(errs, s.mirror.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if f != nil {
		for _, r := range f.registries {
			r.client.Close()
		}
	}
	if s.access.Entries != nil {
		errs = append(errs, s.access.Close())
	}
	s.stderr.Close()
	return errors.Join(errs...)
}

// settle waits for requests that were cut to leave their records.
func (s *Server) settle() {
	for deadline := time.Now().Add(killGrace); s.requests.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *Server) panicked(value any, stack []byte) {
	s.panics.Add(1)
	s.log.Error("panic while answering a request", zap.Any("panic", value), zap.ByteString("stack", stack))
}

// recovered keeps a panic, should there be one, to its own request; see http.Handler.
func (s *Server) recovered() {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); !ok || !errors.Is(err, errAbort) {
		s.panicked(v, debug.Stack())
	}
	panic(errAbort)
}
