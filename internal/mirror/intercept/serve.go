package intercept

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"sluice/internal/gate"
	"sluice/internal/limit"
)

// Pauses after a failed accept: with no descriptor left the listener would be readable
// all the time.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = 250 * time.Millisecond
)

// Serve accepts until the listener is closed, and returns nil then. address is what
// records call the listener. The connections are served on.
func (p *Proxy) Serve(ln *net.TCPListener, address string) error {
	pause := minAcceptPause
	for {
		conn, err := ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(pause)
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		accepted := time.Now()
		src := gate.Source{Listener: address, Client: clientOf(conn)}
		reason := limit.Scarce
		if src.Client.IsValid() {
			src.Connection, reason = p.waiting.Enter(src.Client.Addr())
		}
		if reason != limit.Admitted {
			conn.SetLinger(0) // nothing was read: there is no protocol to say it in
			conn.Close()
			continue
		}
		go func() {
			defer src.Connection.Close()
			p.ServeConn(conn, src, accepted)
		}()
	}
}

// ServeConn serves one accepted connection. It returns when a tunnel has taken it over,
// or it is closed. src.Connection, if any, is closed by the caller.
func (p *Proxy) ServeConn(conn *net.TCPConn, src gate.Source, accepted time.Time) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(0, v, debug.Stack())
			conn.Close()
		}
	}()
	if !p.open.Add(conn) {
		conn.Close()
		return
	}
	defer p.open.Remove(conn)
	p.http.Serve(conn, nil, src, accepted)
}

// clientOf returns the zero AddrPort when the connection has no other end.
func clientOf(conn net.Conn) netip.AddrPort {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
}

// Drain takes nothing new, lets what is under way go on until ctx ends, and then cuts
// it. Each leaves its record. Listeners are closed by who has opened them, before.
func (p *Proxy) Drain(ctx context.Context) {
	p.gate.Drain()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		// Ends what waits behind TLS for its next request, and at once what comes now.
		// That ctx ends first is told by what comes next.
		_ = p.server.Shutdown(ctx)
	}()
	if p.gate.Live().Drain(ctx) != nil {
		p.gate.Live().KillAll("drain")
		rest, cancel := context.WithTimeout(context.Background(), killGrace)
		defer cancel()
		p.gate.Live().Drain(rest)
	}
	<-idle
}

// killGrace is how long what was cut has to write its record.
const killGrace = time.Second

// Close cuts whatever there is. Drain comes before it, if it shall be in order.
func (p *Proxy) Close() {
	p.gate.Drain()
	_ = p.inner.Close() // it never fails
	p.open.CloseAll()
	p.gate.Live().KillAll("drain")
	p.server.Close()
	<-p.served
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	p.gate.Live().Drain(ctx)
	p.gate.Poller.Close()
}

// handover is a listener of connections that are there already.
type handover struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give tells whether the connection was accepted.
func (h *handover) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
