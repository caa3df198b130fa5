package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"sluice/internal/crash"
)

// family is an index: 0 for IPv4, 1 for IPv6.
type family uint8

const (
	v4 family = iota
	v6
)

func (f family) other() family { return f ^ 1 }

// network is the family's name for net.Resolver.
func (f family) network() string {
	if f == v6 {
		return "ip6"
	}
	return "ip4"
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

// found is what became of the look-up of one family.
type found struct {
	family family
	addrs  []netip.Addr
	err    error
}

// lookup asks for one family of a name. The two families are asked for apart
// from each other because net.Resolver, asked for both, waits for both: a name
// server that drops AAAA queries would hold up every dial for 10 s.
func (d *Dialer) lookup(ctx context.Context, f family, name string) found {
	if strings.IndexByte(name, '.') < 0 {
		if a, ok := inHostsFile(ctx, f, name); ok {
			return a
		}
	}
	name += "." // absolute
	switch len(d.Resolver) {
	case 0:
		return ask(ctx, netip.AddrPort{}, f, name)
	case 1:
		return ask(ctx, d.Resolver[0], f, name)
	}
	return d.askInTurn(ctx, f, name)
}

// ask asks one name server, or those of the system if it is the zero AddrPort.
func ask(ctx context.Context, server netip.AddrPort, f family, name string) found {
	var panicked crash.Box
	addrs, err := resolverAt(server, &panicked).LookupNetIP(ctx, f.network(), name)
	panicked.Raise()
	return found{f, addrs, err}
}

// guarded makes the error of a look-up of a panic in it, which would end the
// process on a goroutine of its own.
func guarded(f family, lookup func() found) (a found) {
	defer func() {
		if p := crash.Recovered(recover()); p != nil {
			a = found{family: f, err: p}
		}
	}()
	return lookup()
}

// inHostsFile looks a name without dots up in /etc/hosts alone. net.Resolver
// does find dotted names there when they end in a dot, but no others.
func inHostsFile(ctx context.Context, f family, name string) (found, bool) {
	r := &net.Resolver{
		PreferGo: true,
		Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errNoServer },
	}
	addrs, err := r.LookupNetIP(ctx, f.network(), name)
	a := found{f, addrs, err}
	var none *net.AddrError // it is there, with the other family only
	return a, a.err == nil || errors.As(a.err, &none)
}

var errNoServer = errors.New("no name server is asked")

// resolverAt returns a resolver that asks one name server, or those of the
// system if it is the zero AddrPort. Truncated answers it asks for again over
// TCP. It dials on a goroutine of its own, so a panic there is caught for the
// caller to raise.
func resolverAt(server netip.AddrPort, panicked *crash.Box) *net.Resolver {
	return &net.Resolver{
		PreferGo: server.IsValid(),
		Dial: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = errNoServer // of a panic
			defer panicked.Catch()
			if server.IsValid() {
				address = server.String()
			}
			var nd net.Dialer
			var c net.Conn
			if c, err = nd.DialContext(ctx, network, address); err != nil {
				return nil, err
			}
			return newQuery(ctx, c), nil
		},
	}
}

// query is a connection to a name server that ends with its context. The
// resolver itself looks at the context between queries only: for a client that
// is gone it would keep socket and goroutine until the query's own timeout, 5 s.
type query struct {
	net.Conn
	ctx  context.Context
	stop func() bool
}

// packetQuery is a query over UDP. The resolver tells UDP from TCP by the
// methods of net.PacketConn.
type packetQuery struct {
	*net.UDPConn
	ctx  context.Context
	stop func() bool
}

func newQuery(ctx context.Context, c net.Conn) net.Conn {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })
	if udp, ok := c.(*net.UDPConn); ok {
		return &packetQuery{udp, ctx, stop}
	}
	return &query{c, ctx, stop}
}

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// setDeadline sets the resolver's own deadline, which must not take back the end
// of the context that came before it.
func setDeadline(ctx context.Context, c net.Conn, t time.Time) error {
	err := c.SetDeadline(t)
	if ctx.Err() != nil {
		err = c.SetDeadline(past)
	}
	return err
}

// SetDeadline sets the deadline, unless the context has ended.
func (q *query) SetDeadline(t time.Time) error { return setDeadline(q.ctx, q.Conn, t) }

// SetDeadline sets the deadline, unless the context has ended.
func (q *packetQuery) SetDeadline(t time.Time) error { return setDeadline(q.ctx, q.UDPConn, t) }

// Close closes the connection.
func (q *query) Close() error {
	q.stop()
	return q.Conn.Close()
}

// Close closes the socket.
func (q *packetQuery) Close() error {
	q.stop()
	return q.UDPConn.Close()
}

// serverDelay is how long a silent name server is waited for before the next is
// asked as well.
const serverDelay = time.Second

// askInTurn asks one name server after the other until one knows whether the
// name exists. A server that was slow may still answer, unless there is no socket to
// ask the next beside it.
func (d *Dialer) askInTurn(ctx context.Context, f family, name string) found {
	servers := d.Resolver
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan found, len(servers))
	next := time.NewTimer(0)
	defer next.Stop()
	asked, running := 0, 0
	for {
		select {
		case <-next.C:
			server, extra := servers[asked], running > 0
			if extra && !d.Extra.take() {
				next.Reset(serverDelay)
				continue
			}
			go func() {
				a := guarded(f, func() found { return ask(ctx, server, f, name) })
				if extra {
					d.Extra.giveBack()
				}
				answers <- a
			}()
			asked++
			running++
			if asked < len(servers) {
				next.Reset(serverDelay)
			}
		case a := <-answers:
			running--
			if _, crashed := a.err.(*crash.Panic); crashed {
				return a
			}
			known := a.err == nil || lookupCause(a.err) == noName
			if known || ctx.Err() != nil || running == 0 && asked == len(servers) {
				return a
			}
			if asked < len(servers) {
				next.Reset(0)
			}
		}
	}
}

// prefers6 tells whether RFC 6724, section 6, puts this IPv6 address before any
// IPv4 address: it can be reached, it is loopback or global unicast outside of
// the ranges that rank below IPv4 (rule 6), and its source address is of the
// same sort (rules 2 and 5). So a host with nothing but a unique local address
// begins with IPv4.
func prefers6(a netip.Addr) bool {
	if sort6(a) == lesser {
		return false
	}
	src, err := source(a)
	return err == nil && sort6(src) == sort6(a)
}

const (
	loopback = iota
	global
	lesser // link-local, unique local, 6to4, Teredo
)

var lesserRanges = [...]netip.Prefix{
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001::/32"),
}

func sort6(a netip.Addr) int {
	if a.IsLoopback() {
		return loopback
	}
	for _, p := range lesserRanges {
		if p.Contains(a.WithZone("")) {
			return lesser
		}
	}
	return global
}
