package acl

import (
	"net/netip"
	"slices"
)

// Shadow says that a rule can never decide because an earlier one matches all
// that it matches.
type Shadow struct{ Rule, By int }

// Shadowed lists the rules that can never decide, each with the first earlier
// rule that is as broad or broader. Rules that are only together as broad are
// not found. A policy that is Observing is judged as it will be when it is enforced.
func (p *Policy) Shadowed() []Shadow {
	var out []Shadow
	for j := range p.rules {
		for i := range p.rules[:j] {
			if p.rules[i].voids(&p.rules[j]) {
				out = append(out, Shadow{Rule: j, By: i})
				break
			}
		}
	}
	return out
}

// voids tells whether o, which stands behind c, can never decide. A rule in observe
// mode that denies is passed over, and voids only another one such; one that allows
// has its say where no other rule has one.
func (c *compiled) voids(o *compiled) bool {
	switch {
	case o.Mode == Observe && o.Action == Allow, c.trial() && (!o.trial() || o.lets() && !c.lets()):
		return false
	}
	return c.covers(o)
}

// trial tells whether a rule denies in observe mode.
func (c *compiled) trial() bool { return c.Action == Deny && c.Mode == Observe }

// lets tells whether such a rule lets pass what no rule behind it matches. One that
// is for everybody must not let strangers in, nor anybody to where he could not go
// without it.
func (c *compiled) lets() bool { return c.Mode == Observe && len(c.Clients)+len(c.Users) > 0 }

func (c *compiled) covers(o *compiled) bool {
	if o.denyAddrs && c.Action == Allow && !c.to.any {
		// Names that c does not match may resolve into the ranges of o, which
		// then denies them (DenyAddr).
		return false
	}
	if !c.anyone && (o.anyone || !c.clients.covers(&o.clients)) {
		return false
	}
	if len(c.Users) > 0 {
		if len(o.Users) == 0 {
			return false
		}
		for _, u := range o.Users {
			if !slices.Contains(c.Users, u) {
				return false
			}
		}
	}
	for _, pr := range o.ports {
		if !portsCover(c.ports, pr) {
			return false
		}
	}
	return c.to.covers(&o.to)
}

func portsCover(have []PortRange, want PortRange) bool {
	for _, h := range have {
		if h.First <= want.First && want.Last <= h.Last {
			return true
		}
	}
	return false
}

// Evasion says that a deny rule with users is evaded by leaving the credentials
// away: requests that it denies to its users are allowed to nobody in particular
// by a rule behind it.
type Evasion struct{ Deny, Allow int }

// Evasions lists the deny rules with users that are evaded so, each with the
// first rule that allows, or in observe mode lets pass, some of the same requests
// without asking for a user.
func (p *Policy) Evasions() []Evasion {
	var out []Evasion
	for i := range p.rules {
		if p.rules[i].Action != Deny || len(p.rules[i].Users) == 0 {
			continue
		}
		if j := p.evades(i); j >= 0 {
			out = append(out, Evasion{Deny: i, Allow: j})
		}
	}
	return out
}

// evades returns the first rule that lets pass without user what rule i denies, or
// -1. A rule without user that denies as much ahead of it settles the matter.
func (p *Policy) evades(i int) int {
	denied := &p.rules[i]
	for j := range p.rules {
		c := &p.rules[j]
		switch {
		case len(c.Users) > 0 || c.trial():
		case c.Action == Deny && c.covers(denied):
			return -1
		case c.Action == Allow && j > i && c.overlaps(denied) && !p.shadowedForAll(j):
			return j
		}
	}
	return p.waives(denied)
}

// waives returns the first rule in observe mode that lets pass without user, where
// no other rule matches, what the given one denies, or -1.
func (p *Policy) waives(denied *compiled) int {
	for j := range p.rules {
		c := &p.rules[j]
		switch {
		case c.Mode == Enforce || !c.sharesClient(denied):
		case c.Action == Allow && (len(c.Users) == 0 || !c.anyone), // wherever to
			c.Action == Deny && len(c.Users) == 0 && !c.anyone && c.overlaps(denied):
			return j
		}
	}
	return -1
}

// shadowedForAll tells whether one rule without user ahead of rule j matches all
// that j does.
func (p *Policy) shadowedForAll(j int) bool {
	for k := range p.rules[:j] {
		if c := &p.rules[k]; len(c.Users) == 0 && !c.trial() && c.covers(&p.rules[j]) {
			return true
		}
	}
	return false
}

// overlaps tells whether there are clients, ports and destinations that both
// rules match, users aside. A name that c allows may resolve into a range of o.
func (c *compiled) overlaps(o *compiled) bool {
	if !c.sharesClient(o) {
		return false
	}
	ports := slices.ContainsFunc(c.ports, func(a PortRange) bool {
		return slices.ContainsFunc(o.ports, func(b PortRange) bool { return a.First <= b.Last && b.First <= a.Last })
	})
	return ports && (c.to.overlaps(&o.to) || o.denyAddrs && c.to.standsFor(&o.to) || c.denyAddrs && o.to.standsFor(&c.to))
}

// standsFor tells whether some address of d may stand for one of e.
func (d *destinations) standsFor(e *destinations) bool {
	return slices.ContainsFunc(e.addrs.list, func(p netip.Prefix) bool { return p.Addr().Is4() }) &&
		slices.ContainsFunc(embeddings, func(m embedding) bool {
			return slices.ContainsFunc(d.addrs.list, m.prefix.Overlaps)
		})
}

// sharesClient tells whether both rules are for some client.
func (c *compiled) sharesClient(o *compiled) bool {
	return c.anyone || o.anyone || c.clients.overlaps(&o.clients)
}
