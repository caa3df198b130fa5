package gate

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
)

// Origin is a connection to a destination together with the client's place that
// it takes.
type Origin struct {
	Conn    *net.TCPConn
	gate    *Gate
	source  Source
	lease   limit.Lease
	address netip.AddrPort
	policy  *Policy
	host    acl.Host
	port    uint16
	user    string
	// decision let it pass.
	decision acl.Decision

	released atomic.Bool
}

// Budgets returns what bytes are charged to: client to origin, and back.
func (o *Origin) Budgets() (up, down *limit.Budget) { return &o.lease.Up, &o.lease.Down }

// Close closes the connection and gives the client's place back.
func (o *Origin) Close() {
	if o.Conn != nil { // nil while it is dialled
		o.Conn.Close()
	}
	o.release()
}

// admit takes the client's place, and one of all clients' places.
func (o *Origin) admit(client netip.Addr) *egress.Error {
	if o.source.Spare {
		return full("this proxy has no descriptor left")
	}
	p, n := o.policy, int(o.gate.tunnels.Add(1))
	l := p.limits(o.decision.Under())
	if p.MaxTunnels > 0 {
		if n > p.MaxTunnels {
			o.gate.tunnels.Add(-1)
			return full("this proxy has no tunnel left")
		}
		l.Few = limit.Few(n-1, p.MaxTunnels)
	}
	reason, wait := o.gate.clients.Admit(&o.lease, client, l)
	if reason == limit.Admitted {
		o.source.Connection.Leave()
		return nil
	}
	o.gate.tunnels.Add(-1)
	e := &egress.Error{Kind: egress.ClientLimit, RetryAfter: wait}
	switch reason {
	case limit.Scarce:
		return full("this proxy's last tunnels are for clients that have fewer")
	case limit.TooMany:
		e.Sentence = fmt.Sprintf("%s has %d tunnels open, which is its limit", client, l.Tunnels)
	default:
		e.Sentence = fmt.Sprintf("%s opens more than %g tunnels a second, which is its limit", client, l.New)
	}
	return e
}

func full(sentence string) *egress.Error {
	return &egress.Error{Kind: egress.ServerFull, Sentence: sentence, RetryAfter: retryAfter}
}

// release gives the place back. A second call finds nothing to give.
func (o *Origin) release() {
	if o.released.Swap(true) {
		return
	}
	o.source.Connection.Return() // before the place is free: it has one or the other
	o.lease.Release()
	o.gate.tunnels.Add(-1)
}
