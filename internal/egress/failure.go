package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// cause is why one look-up, address or attempt came to nothing. When several
// fail in different ways, the largest is told: an attempt tells more than an
// address that was not tried, and that more than an answer that did not come.
type cause uint8

const (
	unknown        cause = iota
	noName               // the name does not exist, or has no address
	resolverFailed       // the resolver answered that it cannot answer
	resolverSlow         // the resolver did not answer
	notPublic            // an address that is not public
	ruleDenied           // an address that a rule denies
	loop                 // an address of the proxy
	noRoute              // often just the address family that a host lacks
	noAnswer             // silence
	refused              // the origin is there and does not want
	full                 // the proxy could not even try
	fault                // an error that nobody foresaw
)

// failure is one of them: its address, if it is about one, and the error for
// the log.
type failure struct {
	cause cause
	addr  netip.Addr
	err   error
	says  string // of ruleDenied and notPublic: what the client is told
}

func (c *call) note(why cause, a netip.Addr, err error) {
	c.noted(failure{cause: why, addr: a, err: err})
}

func (c *call) noted(f failure) {
	if f.cause > c.told.cause {
		c.told = f
	}
}

// failure tells the most telling failure.
func (c *call) failure(ctx context.Context, now time.Time) *Error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: ClientGone, Sentence: "the client left before it had an answer", Err: context.Cause(ctx)}
	}
	name, where := c.Host.String(), c.Host.Join(c.Port)
	e := &Error{Err: c.told.err}
	switch c.told.cause {
	case noName:
		e.Kind, e.Sentence = NameNotFound, name+" does not resolve: no such name, or it has no address"
	case resolverFailed:
		e.Kind, e.Sentence = NameNotFound, name+" does not resolve: the resolver answered with a failure"
	case resolverSlow:
		e.Kind, e.Sentence = ResolverTimeout, "no resolver answered for "+name+" in "+waited(c.start, now)
	case notPublic:
		e.Kind, e.Sentence = NotPublic, c.told.says
		if c.Host.IsAddr() {
			e.Err = nil // it would repeat the sentence
		}
	case ruleDenied:
		e.Kind, e.Sentence = RuleDenied, c.told.says
	case loop:
		e.Kind, e.Sentence = Loop, where+" leads back to this proxy"
	case noRoute:
		e.Kind, e.Sentence = Unroutable, "no route to "+where
	case noAnswer:
		e.Kind, e.Sentence = Timeout, where+" did not answer in "+waited(c.start, now)
	case refused:
		e.Kind, e.Sentence = Refused, where+" refused the connection"
	case full:
		e.Kind, e.Sentence, e.RetryAfter = ServerFull, "the proxy is out of sockets or ports", time.Second
	default:
		e.Kind, e.Sentence = Internal, "the proxy could not dial "+where
	}
	return e
}

// waited is how long it took, as coarsely as a reader wants it.
func waited(from, to time.Time) string {
	d := to.Sub(from)
	if d > time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return max(d.Round(10*time.Millisecond), 10*time.Millisecond).String()
}

// dialCause sorts what a dial to a failed with.
func dialCause(err error, a netip.Addr) cause {
	switch {
	case isAny(err, os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT):
		return noAnswer
	case isAny(err, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED):
		return refused
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		// connect(2) says so when all ports towards the address are taken, and
		// for IPv6 also when there is no source address for it at all.
		if a.Is6() && !hasSource(a) {
			return noRoute
		}
		return full
	case outOfSockets(err):
		return full
	case isAny(err, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EACCES, syscall.EPERM, // a prohibit route, a firewall's reject, an IPv6 policy
		syscall.EINVAL,                       // a blackhole route
		syscall.EAFNOSUPPORT,                 // a kernel without IPv6
		syscall.ENOPROTOOPT, syscall.EPROTO): // ICMP that says that TCP is not spoken there
		return noRoute
	}
	return fault
}

// lookupCause sorts what a look-up failed with.
func lookupCause(err error) cause {
	var dns *net.DNSError
	var none *net.AddrError
	switch {
	case errors.As(err, &none): // /etc/hosts has the name with the other family only
		return noName
	case !errors.As(err, &dns):
		return resolverFailed
	case dns.IsNotFound:
		return noName
	case dns.IsTimeout:
		return resolverSlow
	case !hasSocket():
		return full // the resolver's error has it as text only
	}
	return resolverFailed
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func outOfSockets(err error) bool {
	return isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN)
}

// hasSocket tells whether the process can still open a socket.
func hasSocket() bool {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err == nil {
		_ = c.Close()
	}
	return !outOfSockets(err)
}

// hasSource tells whether the host has a route and a source address to a.
func hasSource(a netip.Addr) bool {
	_, err := source(a)
	return err == nil
}

// source returns the address that the host would use towards a. Connecting a
// UDP socket asks the routing table and sends nothing.
func source(a netip.Addr) (netip.Addr, error) {
	const discard = 9 // any port will do
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, discard)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("source address towards %s: %w", a, err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
