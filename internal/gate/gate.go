// Package gate takes a request from either protocol through the same steps:
// decide, limit, dial, relay, record. The protocols translate between their wire
// and a Transaction, and do none of these by themselves, so that a rule can never
// hold for one protocol and not for another.
package gate

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// Policy is all that decides about a request. It is immutable; a reload swaps in
// another.
type Policy struct {
	ACL        *acl.Policy
	Limits     []limit.Limits // of each rule of ACL, by index
	NoRule     limit.Limits   // of what observe mode lets pass under no rule
	Users      *Users         // nil: there are none
	Dialer     *egress.Dialer
	Handshake  time.Duration // from accept, or from the request before, to a complete request
	Idle       time.Duration // of tunnels and between the bytes of an HTTP exchange
	MaxTunnels int           // all clients together; 0: no bound
	// Recheck says that Swap ends what is live and would be refused.
	Recheck bool
}

// Gate admits requests under the policy in force. It is safe for concurrent use.
type Gate struct {
	policy atomic.Pointer[Policy]
	// admitting is held for reading from the look at the policy until a place is taken
	// under it.
	admitting sync.RWMutex
	clients   *limit.Table
	live      *track.Table
	record    func(*track.Record)
	tunnels   atomic.Int64
	draining  atomic.Bool

	redirects redirects

	// Poller relays the tunnels; nil: goroutines of their own do. Set it before the first
	// request. It is closed by whoever made it, after the last tunnel.
	Poller *relay.Poller
	// Panicked, if not nil, is told of each panic that has ended a transaction. Set
	// it before the first request.
	Panicked func(id track.ID, value any, stack []byte)
	// Opened, if not nil, is asked when a destination is connected what gets a record
	// of that; nil: nobody wants one now. Set it before the first request.
	Opened func() func(*track.Record)
	// Dialed, if not nil, is told what came of each dial, which may be more than one of
	// a transaction; the error is nil when it has led to a connection. Set it before
	// the first request.
	Dialed func(egress.Result, *egress.Error)
	// Count, if not nil, gets each transaction's final record together with the bytes
	// that its Uncounted has not told of yet, before the record is written. Set it
	// before the first request.
	Count func(r *track.Record, up, down int64)
}

// New returns a gate under policy p. Each transaction's one record goes to
// record, which is called from many goroutines and must not keep its argument.
func New(p *Policy, record func(*track.Record)) *Gate {
	g := &Gate{clients: limit.NewTable(), live: track.NewTable(), record: record}
	g.policy.Store(p)
	return g
}

// Policy returns the policy in force.
func (g *Gate) Policy() *Policy { return g.policy.Load() }

// Live returns the table of what is under way.
func (g *Gate) Live() *track.Table { return g.live }

// Clients returns the table of the clients' budgets.
func (g *Gate) Clients() *limit.Table { return g.clients }

// Tunnels returns how many connections to origins there are, with those that are
// being dialled: MaxTunnels bounds them.
func (g *Gate) Tunnels() int { return int(g.tunnels.Load()) }

// Drain makes the gate refuse new tunnels and requests from now on, but for those
// that came by an inherited listener. What is under way goes on.
func (g *Gate) Drain() { g.draining.Store(true) }

// Draining tells whether Drain was called.
func (g *Gate) Draining() bool { return g.draining.Load() }

// WantsUser tells whether some rule for this client asks for a user, so that
// SOCKS5 offers the method.
func (g *Gate) WantsUser(client netip.Addr) bool { return g.Policy().ACL.WantsUser(client) }

// Source is where a request comes from.
type Source struct {
	Listener string         // as configured
	Client   netip.AddrPort // source address
	// Connection is the client's, which is not counted as one without a tunnel
	// while it holds one; nil: it is not counted at all.
	Connection *limit.Connection
	// Spare says that the process has no descriptor left but the one that it kept
	// for this connection: what the rules admit is told that the proxy is full.
	Spare bool
	// Inherited says that the listener is not this process's own, and that those who
	// come while this one ends are its successor's. Whom this one has accepted it
	// serves, in a drain too, so that nobody is refused in an upgrade.
	Inherited bool
}

// refusesNew tells whether what comes from a source comes too late.
func (g *Gate) refusesNew(s Source) bool { return g.Draining() && !s.Inherited }

// Begin starts a transaction. It ends, with one record, by Fail, Finish, or the
// end of Relay; one of these must follow.
func (g *Gate) Begin(s Source, proto track.Protocol) *Transaction {
	t := &Transaction{gate: g, source: s, policy: g.Policy()}
	t.rec = track.Record{
		ID: g.live.NewID(), Start: time.Now(),
		Listener: s.Listener, Protocol: proto,
		Client: netip.AddrPortFrom(s.Client.Addr().Unmap(), s.Client.Port()),
	}
	g.live.Add(t.rec.ID, t)
	return t
}
