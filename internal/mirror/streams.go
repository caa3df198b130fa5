package mirror

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"sluice/internal/limit"
	"sluice/internal/mirror/front"
	"sluice/internal/mirror/record"
)

type placedKey struct{}

// connContext is front's, with the connection's place.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	ctx = front.ConnContext(ctx, conn)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, placedKey{}, conn)
}

// admitStream finds a place for a request of HTTP/2 beside others of its connection:
// each has a file open, and one to an upstream, as a connection has that carries one
// request at a time. Call leave at the end of a request that is admitted.
func (s *Server) admitStream(r *http.Request) (leave func(), reason limit.Reason) {
	conn, ok := r.Context().Value(placedKey{}).(*placed)
	if !ok || r.ProtoMajor < 2 {
		return func() {}, limit.Admitted
	}
	end := func() { conn.streams.Add(-1) }
	if conn.streams.Add(1) == 1 { // the connection's own place
		return end, limit.Admitted
	}
	giveBack, reason := s.take(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) // as when it was admitted
	if reason != limit.Admitted {
		end()
		return nil, reason
	}
	return func() {
		giveBack()
		end()
	}, limit.Admitted
}

// admitWithin finds a place for a request of HTTP/2 within a tunnel of the transparent
// way, whose connection has none of these.
func (s *Server) admitWithin(r *http.Request) (leave func(), reason limit.Reason) {
	if r.ProtoMajor < 2 {
		return func() {}, limit.Admitted
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, limit.Scarce
	}
	return s.take(from.Addr())
}

// take takes a place of a client's.
func (s *Server) take(from netip.Addr) (leave func(), reason limit.Reason) {
	place, reason := s.places.Enter(from)
	if reason == limit.Admitted {
		return place.Close, reason
	}
	if line := s.turned.Check(zapcore.WarnLevel, "requests refused, for there are too many"); line != nil {
		line.Write(zap.Stringer("latest", from.Unmap()), zap.Bool("of_this_client", reason == limit.TooMany),
			zap.Uint64("without_record", s.unrecorded.Swap(0)))
	}
	return nil, reason
}

// Who asks without a place asks again at once, if he means harm: so many such requests
// have a record of their own at once, and so many per second from then on.
const (
	recordedAtOnce     = 60
	recordedEverSince  = rate.Limit(1)
	tooManyOfTheClient = "sluice-mirror answers too many requests of this client already"
	tooManyOfAll       = "sluice-mirror answers too many requests already"
)

// refuse answers a request without a place.
func (s *Server) refuse(h *front.Handler, w http.ResponseWriter, r *http.Request, reason limit.Reason) {
	sentence := tooManyOfAll
	if reason == limit.TooMany {
		sentence = tooManyOfTheClient
	}
	h.Refuse(w, r, sentence, s.recordRefused)
}

// recordRefused counts a request without a place, and writes its record if there are
// not too many of them.
func (s *Server) recordRefused(r *record.Record) {
	if s.recorded.Allow() {
		s.record(r)
		return
	}
	s.metrics.Count(r)
	s.unrecorded.Add(1)
}
