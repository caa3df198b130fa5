package egress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Keep-alive finds origins that vanished and holds the state of NATs and
// firewalls on the way: their shortest common idle timeouts are 4 to 6 minutes.
// Go's own default, a probe every 15 s, would be a thousand packets a second for
// 15,000 idle tunnels. The number of lost probes is left to the kernel (9).
const (
	keepAliveIdle     = 2 * time.Minute
	keepAliveInterval = 15 * time.Second
)

// connect makes one connection to a vetted address. TCP_NODELAY is on, as Go
// has it.
//
// DialContext takes the address as text, which costs a few allocations more than
// Dialer.DialTCP; but that one, having no local address to pass on, binds every
// socket to 0.0.0.0:0 first, and a port that was bound before connect is not
// shared between destinations: a busy proxy would run out of them.
func (c *call) connect(ctx context.Context, a netip.Addr) (*net.TCPConn, error) {
	nd := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: -1,
	}}
	nd.SetMultipathTCP(false)
	conn, err := nd.DialContext(newBounded(ctx, c.deadline), "tcp", netip.AddrPortFrom(a, c.Port).String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// bounded gives a context a deadline without a timer. A dial needs no more: it
// hands the deadline to the poller, which has a timer of its own, and watches
// Done for cancellation only. Against context.WithDeadline this saves 6 of 36
// allocations, 600 of 2,000 bytes and a timer for each connection
// (BenchmarkConnect).
type bounded struct {
	context.Context
	deadline time.Time
	done     <-chan struct{}
}

func newBounded(ctx context.Context, deadline time.Time) *bounded {
	b := &bounded{ctx, deadline, ctx.Done()}
	if b.done == nil {
		// The dial looks at the deadline only of a context that can end.
		b.done = make(chan struct{})
	}
	return b
}

// Deadline returns the deadline.
func (b *bounded) Deadline() (time.Time, bool) { return b.deadline, true }

// Done returns the channel of the context beneath: it is not closed at the
// deadline.
func (b *bounded) Done() <-chan struct{} { return b.done }

// AfterFunc keeps package context from starting a goroutine for a kind of
// context that it does not know.
func (b *bounded) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(b.Context, f) }
