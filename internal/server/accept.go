package server

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"

	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/listen"
)

// Pauses after a failed accept: with no descriptor left the listener would be
// readable all the time.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = 250 * time.Millisecond
)

func (s *Server) accept(l *listener) {
	pause := minAcceptPause
	for {
		s.spares.fill() // ahead of a connection that would have the descriptor for longer
		conn, err := l.tcp.AcceptTCP()
		spare := false
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if l.retired.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
				if acceptable(l.tcp) { // the deadline comes before what waits
					l.tcp.SetDeadline(time.Now().Add(lastAccepts))
					continue
				}
				l.tcp.Close()
				return
			}
			s.shortage.failed(l.address(), err)
			conn, spare = s.spares.accept(l.tcp, err)
		}
		if conn == nil {
			time.Sleep(pause)
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		s.enter(conn, l, spare)
	}
}

// enter serves a connection, if there is a place for it. If there is none it gets
// a reset: nothing was read, so there is no protocol to say it in, and a reset
// leaves nothing behind in the kernel either.
func (s *Server) enter(conn *net.TCPConn, l *listener, spare bool) {
	defer s.recovered(conn) // a panic here would end the listener, and the process
	src := gate.Source{Listener: l.address(), Spare: spare, Inherited: l.inherited}
	if src.Client = clientOf(conn); !src.Client.IsValid() {
		conn.Close() // it is gone already
		return
	}
	reason := limit.Scarce
	if !s.waiting.Crowded() || s.gate.Policy().ACL.AdmitsClient(src.Client.Addr()) {
		src.Connection, reason = s.waiting.Enter(src.Client.Addr())
	}
	if reason != limit.Admitted {
		s.turned.add(src.Client.Addr(), reason)
		conn.SetLinger(0)
		conn.Close()
		if src.Spare {
			s.spares.fill()
		}
		return
	}
	if l.inherited {
		listen.KeepAliveLater(conn)
	}
	s.wg.Add(1)
	s.crew.run(func() {
		defer s.wg.Done()
		defer src.Connection.Close()
		if src.Spare {
			defer s.spares.fill()
			defer time.AfterFunc(spareTime, func() { conn.Close() }).Stop()
		}
		s.handle(conn, l, src)
	})
}

// handle finds out which protocol a connection speaks and hands it over.
func (s *Server) handle(conn *net.TCPConn, l *listener, src gate.Source) {
	accepted := time.Now()
	if !s.conns.Add(conn) {
		conn.Close()
		return
	}
	defer s.conns.Remove(conn)
	defer s.recovered(conn)
	conn.SetReadDeadline(accepted.Add(s.gate.Policy().Handshake))
	first := make([]byte, firstRead)
	n, err := conn.Read(first)
	if n == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			s.log.Debug("connection ended before a request", zap.String("listener", l.address()), zap.Error(err))
		}
		conn.Close()
		return
	}
	if l.speaksSOCKS(first[0]) {
		s.socks.Serve(conn, first[:n], src, accepted)
		return
	}
	s.http.Serve(conn, first[:n], src, accepted)
}

// firstRead takes most CONNECT requests whole.
const firstRead = 512

// clientOf returns the zero AddrPort when the connection has no other end.
func clientOf(conn *net.TCPConn) netip.AddrPort {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return a.AddrPort()
}
