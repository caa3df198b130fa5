package mirror

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/internal/admin/site"
	"sluice/internal/limit"
	"sluice/internal/listen"
	"sluice/internal/mirror/front"
	"sluice/internal/mirror/settings"
)

// kind tells listeners apart that must not be taken for each other in a reload.
type kind string

const (
	pulling     kind = "listener"
	transparent kind = "transparent address"
	admin       kind = "admin address"
)

// place is where a configuration has something listen.
type place struct {
	kind    kind
	address string
}

// listener is one open socket, and what is served there.
type listener struct {
	place
	net net.Listener
	server
	wg sync.WaitGroup
}

// server is what listens: an *http.Server, or the transparent way.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error // stops accepting, and waits for what is under way
	Close() error
}

// purpose is what a log says that the listener is for.
func (l *listener) purpose() string {
	switch l.kind {
	case admin:
		return "admin"
	case transparent:
		return "transparent"
	}
	return "pulls"
}

func (l *listener) same(p place) bool { return l.kind == p.kind && listen.Same(l.address, p.address) }

func (l *listener) start() { l.wg.Go(func() { _ = l.Serve(l.net) }) }

// drain stops accepting, lets what is under way go on until ctx ends, and cuts the rest.
func (l *listener) drain(ctx context.Context) {
	_ = l.Shutdown(ctx) // what it does not wait for is closed
	l.close()
}

func (l *listener) close() {
	_ = l.server.Close()
	l.net.Close() // when it was never served
	l.wg.Wait()
}

// listen opens the socket of a place.
func (s *Server) listen(p place) (net.Listener, error) {
	ln, err := listen.Inherited(s.o.Sockets, p.address)
	if ln != nil || err != nil {
		return ln, err
	}
	if path, ok := unixPath(p.address); ok {
		return listen.UnixSocket(path)
	}
	return listen.TCP(p.address)
}

// newListener makes a listener of an open socket. It is not served yet.
func (s *Server) newListener(f *force, p place, ln net.Listener) (*listener, error) {
	l := &listener{place: p, net: ln}
	switch p.kind {
	case admin:
		l.net, l.server = site.Listener(ln), site.Server(s.console)
	case transparent:
		t, err := s.newTransparent(f, p, ln)
		if err != nil {
			return nil, err
		}
		l.server = t
	default:
		h := newPullServer(s, f.cfg.Timeouts)
		l.net, l.server = bounded{ln, h}, h
	}
	return l, nil
}

// pullServer is an HTTP server whose certificate and handler a reload may change.
type pullServer struct {
	*http.Server
	server *Server
	state  atomic.Pointer[pullState]
}

// pullState is what a reload changes.
type pullState struct {
	handler *front.Handler
	secure  *tls.Config // nil: plain HTTP
}

// maxHead bounds the head of a request. Tokens of registries stand in it, which have
// been seen with some 5 kB.
const maxHead = 64 << 10

// newPullServer returns a server without a bound for writing: package front has one
// that moves.
func newPullServer(s *Server, t settings.Timeouts) *pullServer {
	p := &pullServer{server: s}
	p.Server = &http.Server{
		Handler:           p,
		ConnContext:       connContext,
		ReadHeaderTimeout: t.Handshake,
		ReadTimeout:       t.Handshake, // whole: what is pulled with has no body
		IdleTimeout:       t.Idle,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          quietLog(s.log),
	}
	return p
}

// quietLog has what net/http says of clients' faults at debug level: handshakes that
// fail, connections that are reset. Requests leave records.
func quietLog(to *zap.Logger) *log.Logger {
	l, err := zap.NewStdLogAt(to, zap.DebugLevel)
	if err != nil { // of a level that there is it is none
		return nil
	}
	return l
}

// ServeHTTP answers a request by what is in force.
func (p *pullServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler := p.state.Load().handler
	leave, reason := p.server.admitStream(r)
	if reason != limit.Admitted {
		p.server.refuse(handler, w, r, reason)
		return
	}
	defer leave()
	p.server.requests.Add(1)
	defer p.server.requests.Add(-1)
	defer p.server.recovered()
	handler.ServeHTTP(w, r)
}

// errAbort ends a connection from within a handler.
var errAbort error = http.ErrAbortHandler

// bounded is a listener whose connections have a place each, and TLS where that is in
// force.
type bounded struct {
	net.Listener
	p *pullServer
}

// Pauses after a failed accept: with no descriptor left the listener would be readable
// all the time.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = 250 * time.Millisecond
)

// Accept returns the next connection that there is a place for; the others get a reset,
// for nothing was read and there is no protocol to say it in.
func (b bounded) Accept() (net.Conn, error) {
	s := b.p.server
	for pause := minAcceptPause; ; {
		conn, err := b.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			s.failures.Add(1)
			s.turned.Error("accept", zap.Error(err))
			time.Sleep(pause)
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		if c := s.admit(conn.(*net.TCPConn)); c != nil {
			if secure := b.p.state.Load().secure; secure != nil {
				return tls.Server(c, secure), nil
			}
			return c, nil
		}
	}
}

// admit gives a connection a place, or resets it and returns nil.
func (s *Server) admit(conn *net.TCPConn) net.Conn {
	client, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		conn.Close() // it is gone already
		return nil
	}
	from := client.AddrPort().Addr()
	place, reason := s.places.Enter(from)
	if reason != limit.Admitted {
		s.turned.Warn("connections reset, for there are too many", zap.Stringer("latest", from.Unmap()),
			zap.Bool("of_this_client", reason == limit.TooMany))
		conn.SetLinger(0)
		conn.Close()
		return nil
	}
	return &placed{TCPConn: conn, place: place}
}

// placed is a connection that gives its place back at its end. It has the methods of a
// *net.TCPConn, so that the kernel writes files to it (sendfile(2)).
type placed struct {
	*net.TCPConn
	place   *limit.Connection
	closed  atomic.Bool
	streams atomic.Int32 // requests of HTTP/2 that are being answered
}

// NetConn returns the connection beneath.
func (p *placed) NetConn() net.Conn { return p.TCPConn }

// Close closes the connection and gives its place back.
func (p *placed) Close() error {
	if p.closed.CompareAndSwap(false, true) {
		defer p.place.Close()
	}
	return p.TCPConn.Close()
}

// placesFor returns how many connections of clients there are places for: a quarter of
// the descriptors, for each may have a file open, and one to an upstream.
func placesFor(cfg *settings.Config, descriptors uint64) int {
	most := mostConnections
	if cfg.Server.MaxConnections > 0 {
		most = cfg.Server.MaxConnections
	}
	if descriptors > 0 {
		most = min(most, max(16, int(descriptors/4)))
	}
	return most
}

// mostConnections is what there is room for when descriptors are plenty.
const mostConnections = 8192
