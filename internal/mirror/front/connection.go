package front

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// Connection is what is known of the connection that a request comes by.
type Connection struct {
	// Client is who is at its other end; not valid: the request's RemoteAddr.
	Client netip.AddrPort
	// Registry is set on the transparent way: the registry that the client believes it
	// talks to, by the name under which it is configured. Paths have no prefix there,
	// "ns" means nothing, and the client's credentials are meant for that registry.
	Registry string
	// Conn is the connection itself, or a wrapper that has a NetConn method; it is
	// looked at only for how far the client has read. nil: not known.
	Conn net.Conn
}

type connectionKey struct{}

// With returns a context that carries c, for http.Server's ConnContext.
func (c Connection) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// ConnContext is http.Server's ConnContext for listeners that clients name as their
// mirror.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return Connection{Conn: conn}.With(ctx)
}

func connectionOf(r *http.Request) Connection {
	c, _ := r.Context().Value(connectionKey{}).(Connection)
	if !c.Client.IsValid() {
		c.Client, _ = netip.ParseAddrPort(r.RemoteAddr)
	}
	c.Client = netip.AddrPortFrom(c.Client.Addr().WithZone("").Unmap(), c.Client.Port())
	return c
}

// transport returns the TCP connection beneath, or nil.
func (c Connection) transport() *net.TCPConn {
	conn := c.Conn
	for range 8 { // wrappers of wrappers; a bound keeps one that returns itself from being followed
		switch under := conn.(type) {
		case *net.TCPConn:
			return under
		case interface{ NetConn() net.Conn }:
			conn = under.NetConn()
		default:
			return nil
		}
	}
	return nil
}
