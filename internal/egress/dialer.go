// Package egress reaches destinations. It resolves a name once, vets every
// address it gets, races connections to those that passed (RFC 8305, "happy
// eyeballs") and dials the vetted address itself, so that a name that changes
// its answer between check and dial changes nothing. What went wrong comes back
// as one typed Error, from which each protocol draws its answer.
//
// Names are looked up as they were asked for and as absolute ones, single
// labels too: the search domains of resolv.conf never apply, for a rule that
// was matched on one name must not lead to another. /etc/hosts applies. Nothing
// is cached here; that is the resolver's business.
//
// Who may go where is decided before, by package acl; moving bytes comes after,
// in package relay.
package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"sluice/acl"
)

// Prefer says which address family is tried first. The other one is never left
// out: it takes every second attempt.
type Prefer uint8

const (
	Auto Prefer = iota // as RFC 6724 orders them: IPv6 if it has a fitting source address
	IPv4
	IPv6
)

const (
	defaultTimeout = 10 * time.Second

	// maxTries bounds the addresses that one request dials, however many a name
	// has: one CONNECT shall not send hundreds of SYNs for a stranger.
	maxTries = 16
)

// Dialer dials destinations. It must not be changed once it is in use, and may
// be used by any number of goroutines. The zero value dials public addresses and
// asks the system's resolver.
type Dialer struct {
	// AllowPrivate lists the addresses that may be dialled although they are
	// not public. They are compared with what acl.Unwrap makes of an address; of
	// one that stands for IPv4 in another way, that must be allowed or public too.
	AllowPrivate []netip.Prefix
	// Resolver lists the name servers to ask instead of the system's, in order;
	// the next one is asked when one fails or says nothing for a second. Time
	// and number of tries with each server are those of resolv.conf.
	Resolver []netip.AddrPort
	// Prefer is the address family to begin with.
	Prefer Prefer
	// Timeout bounds the whole, DNS and every address; zero: 10 s.
	Timeout time.Duration
	// Own tells whether an address is one of the proxy's own listeners, which
	// is never dialled, AllowPrivate or not; nil: there are none. See OwnAddrs.
	Own func(netip.AddrPort) bool
	// Extra bounds the sockets that all dials have beyond one each; nil: no bound.
	Extra *Extra
}

// Target is where a request wants to go.
type Target struct {
	Host acl.Host
	Port uint16
	// Deny returns why a rule forbids an address of the host, as a sentence for
	// the client, or "". It is called by the goroutine that called Dial; nil
	// forbids nothing.
	Deny func(netip.Addr) string
}

// Result is what came of a Dial. All but Conn is filled in on failure too, then
// Addr is the address whose failure is told, if there is one.
type Result struct {
	Conn  *net.TCPConn   // nil on failure; the caller closes it
	Addr  netip.AddrPort // the address that Conn is connected to
	Tries int            // connections begun
	// DNS is the time until the first dial, or until there was none to begin; 0 of an
	// address, for there was no look-up.
	DNS  time.Duration
	Dial time.Duration // from there to the end
}

// call is one Dial.
type call struct {
	*Dialer
	Target
	start    time.Time
	deadline time.Time
	begun    time.Time // of the first attempt
	res      Result
	told     failure // the most telling so far
}

// Dial connects to the target. When ctx is cancelled, because the client is
// gone, it returns at once with kind ClientGone. No attempt outlives it but for
// the moment that it takes to close one.
func (d *Dialer) Dial(ctx context.Context, t Target) (Result, *Error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	c := call{Dialer: d, Target: t, start: time.Now()}
	c.deadline = c.start.Add(timeout)
	if end, ok := ctx.Deadline(); ok && end.Before(c.deadline) {
		c.deadline = end
	}
	switch {
	case t.Host == acl.Host{}:
		return Result{}, &Error{Kind: Malformed, Sentence: acl.ErrHostEmpty.Error()}
	case t.Port == 0:
		return Result{}, &Error{Kind: Malformed, Sentence: "there is no port 0"}
	case t.Host.IsAddr():
		return c.literal(ctx)
	}
	return c.name(ctx)
}

// literal dials an address that the client named itself. It starts no goroutine.
func (c *call) literal(ctx context.Context) (Result, *Error) {
	a := c.Host.Addr()
	if !c.vet(a) {
		return c.end(ctx, nil, a)
	}
	c.begin(c.start)
	return c.only(ctx, a)
}

// only makes the last attempt, with no other to race with.
func (c *call) only(ctx context.Context, a netip.Addr) (Result, *Error) {
	conn, err := c.connect(ctx, a)
	if err != nil {
		c.note(dialCause(err, a), a, err)
	}
	return c.end(ctx, conn, a)
}

// begin counts an attempt.
func (c *call) begin(now time.Time) {
	if c.res.Tries == 0 {
		c.begun = now
	}
	c.res.Tries++
}

// end closes the books: conn to a is what came of the call, or nil.
func (c *call) end(ctx context.Context, conn *net.TCPConn, a netip.Addr) (Result, *Error) {
	now := time.Now()
	if c.res.Tries == 0 {
		c.begun = now
	}
	c.res.Dial = now.Sub(c.begun)
	if !c.Host.IsAddr() {
		c.res.DNS = c.begun.Sub(c.start)
	}
	if conn != nil && c.own(a) {
		// A listener that has come since the address was vetted.
		_ = conn.Close()
		conn = nil
		c.note(loop, netip.Addr{}, fmt.Errorf("%s is an address of this proxy by now", a))
	}
	if conn != nil {
		c.res.Conn, c.res.Addr = conn, netip.AddrPortFrom(a, c.Port)
		return c.res, nil
	}
	if c.told.addr.IsValid() {
		c.res.Addr = netip.AddrPortFrom(c.told.addr, c.Port)
	}
	return c.res, c.failure(ctx, now)
}
