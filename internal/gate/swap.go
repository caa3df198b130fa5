package gate

import (
	"net/netip"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
)

// Swap puts another policy in force. When it returns, what the new rules refuse is
// refused, and the new limits hold for what is live too. What is live goes on, also
// if the new rules would refuse it, and then under the limits that it has; if the
// policy says Recheck it is ended with a record instead. Swap returns how many were.
func (g *Gate) Swap(p *Policy) (ended int) {
	p.Users.Remember(g.Policy().Users)
	g.admitting.Lock()
	g.policy.Store(p)
	g.admitting.Unlock()
	for _, l := range g.live.List() {
		if t, ok := l.(*Transaction); ok && t.adopt(p) {
			ended++
		}
	}
	return ended
}

// limits returns those of a rule, by its index, or of what passes under none.
func (p *Policy) limits(rule int) limit.Limits {
	switch {
	case rule < 0:
		return p.NoRule
	case rule >= len(p.Limits):
		return limit.Limits{}
	}
	return p.Limits[rule]
}

// adopt brings a transaction that has its place under another policy. It tells
// whether that ended it.
func (t *Transaction) adopt(p *Policy) (ended bool) {
	t.mu.Lock()
	o, req, login, address := t.origin, t.req, t.login, t.rec.Address
	over := t.done || t.killed != ""
	t.mu.Unlock()
	if o == nil || over {
		return false // it decides by the policy in force when it comes to that
	}
	d := p.ACL.Decide(req)
	why := ""
	switch {
	case login != "" && !p.Users.same(req.User, login):
		why = req.User + " has another password, or none"
	case !d.Passes():
		why = p.ACL.Sentence(req, d)
	case p.Recheck && address.IsValid():
		if e := p.forbids(req, d, address); e != nil {
			why = e.Sentence
		}
	}
	if why != "" && p.Recheck {
		t.Kill("recheck", "the rules have changed: "+why)
		return true
	}
	if d.Passes() {
		o.lease.Change(p.limits(d.Under()))
	}
	return false
}

// forbids says why an address may not be dialled for a request that rules admit, or nil.
func (p *Policy) forbids(req acl.Request, d acl.Decision, a netip.AddrPort) *egress.Error {
	if e := p.Dialer.Refuses(a); e != nil {
		return e
	}
	if req.Host.IsAddr() {
		return nil
	}
	if i := p.ACL.DenyAddr(req, d, a.Addr()); i >= 0 {
		return &egress.Error{Kind: egress.RuleDenied, Sentence: deniedAddress(p.ACL, i, req)}
	}
	return nil
}
