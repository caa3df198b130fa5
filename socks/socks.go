// Package socks takes SOCKS5 in (RFC 1928, RFC 1929). Handshake and replies are
// those of github.com/armon/go-socks5; deciding, dialling, relaying and recording
// are the gate's. The package stands between the two: it gives the library one
// session for each connection, bounds what the library does not (time, methods,
// destinations that it would misread), and takes both connections out of its
// hands once the success reply is written.
package socks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	socks5 "github.com/armon/go-socks5"

	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/track"
)

// Version is the first byte of every SOCKS5 connection.
const Version = 0x05

// version4 is what a SOCKS4 client begins with; it is recorded and closed.
const version4 = 0x04

// Handler serves SOCKS5 on accepted connections.
type Handler struct {
	Gate *gate.Gate
}

// Serve handles one accepted connection, of which early, at least one byte, was
// read already; a connection without a byte is a probe and leaves no record. It
// closes the connection, unless a tunnel has taken it over when Serve returns.
// The handshake must be complete by the deadline of the gate's policy, counted
// from accepted.
func (h *Handler) Serve(conn *net.TCPConn, early []byte, src gate.Source, accepted time.Time) {
	conn.SetDeadline(accepted.Add(h.Gate.Policy().Handshake))
	s := &session{gate: h.Gate, src: src, conn: conn, early: early, accepted: accepted}
	defer func() {
		if v := recover(); v != nil {
			s.begin().Panicked(v)
			conn.SetLinger(0)
			conn.Close()
		}
	}()
	err := s.greeting()
	if err == nil {
		err = s.serve()
	}
	if s.origin != nil && err == nil {
		conn.SetDeadline(time.Time{})
		s.tx.Relay(conn, s.origin, s.target.early)
		return
	}
	s.fail(err)
	hangUp(conn)
}

// session is one connection as the library sees it: a net.Conn whose reads begin
// with what was read already, whose failure replies carry the code of the one
// table, and whose copies end at once because the relay does them.
type session struct {
	gate     *gate.Gate
	src      gate.Source
	conn     *net.TCPConn
	early    []byte
	accepted time.Time
	methods  []byte
	tx       *gate.Transaction
	origin   *gate.Origin
	target   target
	failure  *egress.Error
}

// Why a greeting cannot be read.
var (
	errVersion = errors.New("not a SOCKS5 request")
	errSOCKS4  = errors.New("SOCKS4 is not served, SOCKS5 is")
)

// greeting reads the version and the offered methods (RFC 1928, section 3) and
// puts them back for the library to read: which methods it may choose from
// depends on them.
func (s *session) greeting() error {
	head := make([]byte, 2, 2+255)
	if _, err := io.ReadFull(s, head[:1]); err != nil {
		return err
	}
	switch head[0] {
	case Version:
	case version4:
		return errSOCKS4
	default:
		return errVersion
	}
	if _, err := io.ReadFull(s, head[1:2]); err != nil {
		return err
	}
	head = head[:2+int(head[1])]
	if _, err := io.ReadFull(s, head[2:]); err != nil {
		return err
	}
	s.methods = head[2:]
	s.early = append(head, s.early...)
	return nil
}

// quiet takes what the library would print; its errors come back from ServeConn.
var quiet = log.New(io.Discard, "", 0)

func (s *session) serve() error {
	srv, err := socks5.New(&socks5.Config{
		AuthMethods: []socks5.Authenticator{s.method()},
		Resolver:    s,
		Rules:       s,
		Dial:        s.dial,
		Logger:      quiet,
	})
	if err != nil {
		return err
	}
	return srv.ServeConn(s)
}

// method chooses user and password when a rule for this client asks for a user
// and the client can give one. A client may list its methods in any order, so
// the library's choice of the first would let it slip past by accident.
func (s *session) method() socks5.Authenticator {
	if s.gate.WantsUser(s.src.Client.Addr()) {
		for _, m := range s.methods {
			if m == socks5.UserPassAuth {
				return &socks5.UserPassAuthenticator{Credentials: s}
			}
		}
	}
	return socks5.NoAuthAuthenticator{}
}

func (s *session) begin() *gate.Transaction {
	if s.tx == nil {
		s.tx = s.gate.Begin(s.src, track.SOCKS5)
	}
	return s.tx
}

// Valid checks credentials for the library.
func (s *session) Valid(user, password string) bool {
	s.failure = s.begin().Login(user, password)
	return s.failure == nil
}

// Resolve leaves the name alone: it is resolved after the rules have been asked,
// so that nobody whom they deny can use the proxy for look-ups.
func (s *session) Resolve(ctx context.Context, _ string) (context.Context, net.IP, error) {
	return ctx, nil, nil
}

// Allow reads the destination. The library asks for every command and answers
// those that it does not know by itself.
func (s *session) Allow(ctx context.Context, r *socks5.Request) (context.Context, bool) {
	tx := s.begin()
	host := r.DestAddr.FQDN
	if host == "" && len(r.DestAddr.IP) > 0 { // an empty name would mean this machine
		host = r.DestAddr.IP.String()
	}
	s.failure = tx.To(host, fmt.Sprint(r.DestAddr.Port))
	if s.failure == nil && r.Command != socks5.ConnectCommand {
		// The library answers 0x07, command not supported.
		s.failure = gate.Malformed("of the SOCKS5 commands only CONNECT is served")
		return ctx, true
	}
	return ctx, s.failure == nil
}

// dial lets the gate decide and dial. The context that the library gives ends
// with nothing, hence the own one.
func (s *session) dial(context.Context, string, string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.tx.OnKill(cancel)
	defer s.tx.OnKill(nil)
	stop := watch(s.conn, cancel)
	origin, e := s.tx.Dial(ctx)
	stop()
	// The answer gets its own time, for the dial may have used up the handshake's.
	s.conn.SetDeadline(time.Now().Add(s.gate.Policy().Handshake))
	if e != nil {
		s.failure = e
		return nil, e
	}
	s.origin = origin
	return &s.target, nil
}

// fail records why the connection ends here.
func (s *session) fail(err error) {
	if s.origin != nil {
		s.origin.Close()
		s.failure = &egress.Error{Kind: egress.ClientGone, Sentence: "the client left before its answer", Err: err}
	}
	if s.failure == nil {
		s.failure = handshakeError(err)
		s.begin().Began(s.accepted)
	}
	s.begin().Fail(s.failure, 0)
}

func handshakeError(err error) *egress.Error {
	e := gate.Malformed("the SOCKS5 handshake was cut off or cannot be read")
	e.Err = err
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Sentence = "the SOCKS5 handshake took too long"
	case errors.Is(err, errSOCKS4), errors.Is(err, errVersion):
		e.Sentence, e.Err = err.Error(), nil
	}
	return e
}

// lingerTime and lingerBytes bound how long a refused client may go on sending.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// hangUp closes so that the last reply arrives: closing with unread bytes would
// send a reset, which lets the client drop what it has not read yet.
func hangUp(conn *net.TCPConn) {
	defer conn.Close()
	if conn.CloseWrite() != nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, conn, lingerBytes)
}
