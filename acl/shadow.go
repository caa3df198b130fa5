package acl

import "slices"

// Shadow says that a rule can never decide because an earlier one matches all
// that it matches.
type Shadow struct{ Rule, By int }

// Shadowed lists the rules that can never decide, each with the first earlier
// rule that is as broad or broader. Rules that are only together as broad are
// not found.
func (p *Policy) Shadowed() []Shadow {
	var out []Shadow
	for j := range p.rules {
		for i := range p.rules[:j] {
			if p.rules[i].covers(&p.rules[j]) {
				out = append(out, Shadow{Rule: j, By: i})
				break
			}
		}
	}
	return out
}

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
// first rule that allows some of the same requests without asking for a user.
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

// evades returns the first rule that allows without user what rule i denies, or
// -1. A rule without user that denies as much ahead of it settles the matter.
func (p *Policy) evades(i int) int {
	denied := &p.rules[i]
	for j := range p.rules {
		c := &p.rules[j]
		switch {
		case len(c.Users) > 0:
		case c.Action == Deny && c.covers(denied):
			return -1
		case c.Action == Allow && j > i && c.overlaps(denied) && !p.shadowedForAll(j):
			return j
		}
	}
	return -1
}

// shadowedForAll tells whether one rule without user ahead of rule j matches all
// that j does.
func (p *Policy) shadowedForAll(j int) bool {
	for k := range p.rules[:j] {
		if len(p.rules[k].Users) == 0 && p.rules[k].covers(&p.rules[j]) {
			return true
		}
	}
	return false
}

// overlaps tells whether there are clients, ports and destinations that both
// rules match, users aside. A name that c allows may resolve into a range of o.
func (c *compiled) overlaps(o *compiled) bool {
	if !c.anyone && !o.anyone && !c.clients.overlaps(&o.clients) {
		return false
	}
	ports := slices.ContainsFunc(c.ports, func(a PortRange) bool {
		return slices.ContainsFunc(o.ports, func(b PortRange) bool { return a.First <= b.Last && b.First <= a.Last })
	})
	return ports && c.to.overlaps(&o.to)
}
