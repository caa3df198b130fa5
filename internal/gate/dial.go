package gate

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
)

// Dial decides, takes the client's place and connects to the destination. The
// Origin must be closed, unless Relay takes it over. ctx ends the dial early;
// the caller ends it when the client leaves, and has OnKill end it.
func (t *Transaction) Dial(ctx context.Context) (*Origin, *egress.Error) {
	if t.gate.refusesNew(t.source) {
		return nil, errDraining()
	}
	o, e := t.admit()
	if e != nil {
		return nil, e
	}
	res, e := t.policy.Dialer.Dial(ctx, t.target())
	t.mu.Lock()
	t.rec.Tries, t.rec.DNS, t.rec.Dial, t.rec.Address = res.Tries, res.DNS, res.Dial, res.Addr
	t.observeAddr()
	t.mu.Unlock()
	if t.gate.Dialed != nil {
		t.gate.Dialed(res, e)
	}
	if e != nil {
		o.release()
		if e.Kind == egress.ClientGone && t.howKilled() != "" {
			e = errKilled()
		}
		return nil, e
	}
	o.Conn, o.address = res.Conn, res.Addr
	if e := t.overtaken(o); e != nil {
		o.Close()
		return nil, e
	}
	t.gate.redirects.reached(t.req)
	t.opened()
	return o, nil
}

// overtaken decides anew about what is connected and not yet answered when another
// policy has come meanwhile. Swap could not judge the address, for there was none.
func (t *Transaction) overtaken(o *Origin) *egress.Error {
	for t.policy != t.gate.Policy() {
		t.policy = t.gate.Policy()
		if e := t.decide(); e != nil {
			return e
		}
		if e := t.policy.forbids(t.req, t.decision, o.address); e != nil {
			return e
		}
		o.policy, o.decision = t.policy, t.decision
		t.mu.Lock()
		t.observeAddr()
		t.mu.Unlock()
	}
	return nil
}

// admit decides and takes the client's place, under one policy: no swap comes
// between, or the budgets of the old policy would come back beside those that the new
// one has brought.
func (t *Transaction) admit() (*Origin, *egress.Error) {
	t.gate.admitting.RLock()
	defer t.gate.admitting.RUnlock()
	t.policy = t.gate.Policy()
	if e := t.decide(); e != nil {
		return nil, e
	}
	o := &Origin{gate: t.gate, source: t.source, host: t.req.Host, port: t.req.Port, user: t.req.User, decision: t.decision, policy: t.policy}
	if e := o.admit(t.req.Client); e != nil {
		return nil, e
	}
	t.mu.Lock()
	t.origin = o // which Swap finds and adopts
	t.mu.Unlock()
	return o, nil
}

func errDraining() *egress.Error {
	return &egress.Error{Kind: egress.ServerFull, Sentence: "this proxy is shutting down", RetryAfter: retryAfter}
}

// errKilled is told to a client that still waits when its transaction is killed.
func errKilled() *egress.Error {
	return &egress.Error{Kind: egress.ServerFull, Sentence: "this proxy has ended the request", RetryAfter: retryAfter}
}

// retryAfter is when a client of a full or stopping proxy may try again.
const retryAfter = 5 * time.Second

func (t *Transaction) opened() {
	if t.gate.Opened == nil {
		return
	}
	if record := t.gate.Opened(); record != nil {
		r := t.Snapshot()
		record(&r)
	}
}

func (t *Transaction) target() egress.Target {
	target := egress.Target{Host: t.req.Host, Port: t.req.Port}
	if t.policy.ACL.DeniesAddrs() && !t.req.Host.IsAddr() {
		target.Deny = func(a netip.Addr) string {
			i := t.policy.ACL.DenyAddr(t.req, t.decision, a)
			if i < 0 {
				return ""
			}
			return deniedAddress(t.policy.ACL, i, t.req)
		}
	}
	return target
}

// deniedAddress says that a deny rule, by its index, names an address of the
// requested name.
func deniedAddress(p *acl.Policy, rule int, req acl.Request) string {
	return fmt.Sprintf("rule %s denies an address of %s to %s", p.Rule(rule).Name, req.Host, req.Client)
}

// Reuse decides about a further HTTP request to the destination of an origin
// connection that this client holds. It says false when the connection does not
// fit any more (another rule or policy decides now), and Dial is to be called.
func (t *Transaction) Reuse(o *Origin) (bool, *egress.Error) {
	t.policy = t.gate.Policy()
	if t.gate.refusesNew(t.source) || o.policy != t.policy || o.host != t.req.Host || o.port != t.req.Port || o.user != t.req.User {
		return false, nil
	}
	if e := t.decide(); e != nil {
		return false, e
	}
	if o.decision != t.decision {
		return false, nil
	}
	t.mu.Lock()
	t.rec.Address, t.origin = o.address, o
	t.observeAddr()
	t.mu.Unlock()
	if t.gate.Policy() != t.policy {
		return false, nil // Swap may have missed it
	}
	t.opened()
	return true, nil
}
