package acl

import "net/netip"

// Observing returns a policy of the same rules in which all of them are in observe
// mode: what they would refuse passes. So that a proxy under trial is no open one,
// that holds for clients that a rule which allows names, by address or as a user;
// others are refused as ever, unless everybody is meant.
func (p *Policy) Observing(everybody bool) *Policy {
	o := *p
	o.observes, o.observeAll, o.everybody = true, true, everybody
	return &o
}

// Observes tells whether the whole policy is in observe mode.
func (p *Policy) Observes() bool { return p != nil && p.observeAll }

func (p *Policy) observed(c *compiled) bool { return c.Mode == Observe || p.observeAll }

// observe decides about what the rules refuse, as d has it. Rules in observe mode
// that deny are passed over. One that allows and stands behind them admits, one that
// is enforced denies; where neither matches, the request passes if some rule in
// observe mode is the client's.
func (p *Policy) observe(client netip.Addr, r *Request, d Decision) Decision {
	said, lets := d, false
	for d.Rule >= 0 {
		c := &p.rules[d.Rule]
		if c.Action == Allow {
			said.Observation = Observation{true, int32(d.Rule), int32(d.Rule)}
			return said
		}
		if !p.observed(c) {
			return d
		}
		lets = lets || c.lets()
		next, needsUser := p.match(client, r, d.Rule+1)
		d.Rule, d.NeedsUser = next, d.NeedsUser || needsUser
	}
	under := p.observer(client, r.User)
	if under < 0 && !lets && !(p.observeAll && p.names(client, r.User)) {
		d.Rule = said.Rule
		return d
	}
	if said.Rule < 0 {
		said.Rule = under
	}
	said.Observation = Observation{true, int32(under), int32(len(p.rules))}
	return said
}

// observer returns the first rule in observe mode that allows and is for this
// client and user, or -1. One that names clients and asks for a user is for
// requests of these without one, too, which are what it would refuse.
func (p *Policy) observer(client netip.Addr, user string) int {
	for i := range p.rules {
		c := &p.rules[i]
		if c.Action == Allow && c.Mode == Observe && c.matchClient(client) && (c.matchUser(user) || user == "" && !c.anyone) {
			return i
		}
	}
	return -1
}

// names tells whether a rule that allows is for this client, by address or as user.
func (p *Policy) names(client netip.Addr, user string) bool {
	for i := range p.rules {
		c := &p.rules[i]
		if c.Action == Allow && c.matchClient(client) && (!c.anyone || c.matchUser(user)) {
			return true
		}
	}
	return p.everybody
}
