package mirror

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"

	"go.uber.org/zap"

	"sluice/internal/limit"
	"sluice/internal/mirror/front"
)

const tooManyStreams = `{"errors":[{"code":"TOOMANYREQUESTS","message":"sluice-mirror answers too many requests of this client already"}]}`

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
// request at a time. Call leave at the request's end.
func (s *Server) admitStream(r *http.Request) (leave func(), ok bool) {
	conn, ok := r.Context().Value(placedKey{}).(*placed)
	if !ok || r.ProtoMajor < 2 {
		return func() {}, true
	}
	end := func() { conn.streams.Add(-1) }
	if conn.streams.Add(1) == 1 { // the connection's own place
		return end, true
	}
	giveBack, ok := s.take(conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()) // as when it was admitted
	if !ok {
		end()
		return nil, false
	}
	return func() {
		giveBack()
		end()
	}, true
}

// admitWithin finds a place for a request of HTTP/2 within a tunnel of the transparent
// way, whose connection has none of these.
func (s *Server) admitWithin(r *http.Request) (leave func(), ok bool) {
	if r.ProtoMajor < 2 {
		return func() {}, true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, false
	}
	return s.take(from.Addr())
}

// take takes a place of a client's.
func (s *Server) take(from netip.Addr) (leave func(), ok bool) {
	place, reason := s.places.Enter(from)
	if reason != limit.Admitted {
		s.turned.Warn("requests refused, for there are too many", zap.Stringer("latest", from.Unmap()), zap.Bool("of_this_client", reason == limit.TooMany))
		return nil, false
	}
	return place.Close, true
}

// refuseStream is the answer to a request without a place.
func refuseStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, tooManyStreams) // the client may have gone
}
