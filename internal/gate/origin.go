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
	lease   limit.Lease
	address netip.AddrPort
	policy  *Policy
	host    acl.Host
	port    uint16
	user    string
	rule    int

	released atomic.Bool
}

// Budgets returns what bytes are charged to: client to origin, and back.
func (o *Origin) Budgets() (up, down *limit.Bucket) { return o.lease.Up, o.lease.Down }

// Close closes the connection and gives the client's place back.
func (o *Origin) Close() {
	if o.Conn != nil { // nil while it is dialled
		o.Conn.Close()
	}
	o.release()
}

func (o *Origin) admit(client netip.Addr) *egress.Error {
	p := o.policy
	if n := o.gate.tunnels.Add(1); p.MaxTunnels > 0 && n > int64(p.MaxTunnels) {
		o.gate.tunnels.Add(-1)
		return &egress.Error{Kind: egress.ServerFull, Sentence: "this proxy has no tunnel left", RetryAfter: retryAfter}
	}
	var l limit.Limits
	if o.rule < len(p.Limits) {
		l = p.Limits[o.rule]
	}
	lease, reason, wait := o.gate.clients.Admit(client, l)
	if reason == limit.Admitted {
		o.lease = lease
		return nil
	}
	o.gate.tunnels.Add(-1)
	e := &egress.Error{Kind: egress.ClientLimit, RetryAfter: wait}
	if reason == limit.TooMany {
		e.Sentence = fmt.Sprintf("%s has %d tunnels open, which is its limit", client, l.Tunnels)
	} else {
		e.Sentence = fmt.Sprintf("%s opens more than %g tunnels a second, which is its limit", client, l.New)
	}
	return e
}

// release gives the place back. A second call finds nothing to give.
func (o *Origin) release() {
	if o.released.Swap(true) {
		return
	}
	o.lease.Release()
	o.gate.tunnels.Add(-1)
}
