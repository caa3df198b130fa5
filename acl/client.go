package acl

import (
	"net/netip"
	"slices"
)

// Admits returns the first rule that lets a client through somewhere for its
// address. It is narrower than AdmitsClient: a rule for users at any address names
// nobody, and one does not count when all its ports are denied to the client ahead of
// it. ok is false for a stranger. In observe mode for everybody there are none, and
// rule is -1 where no rule names the client.
func (p *Policy) Admits(client netip.Addr) (rule int, ok bool) {
	if p == nil {
		return -1, false
	}
	client = plain(client)
	var closed []PortRange
	for i := range p.rules {
		c := &p.rules[i]
		switch {
		case !c.matchClient(client):
		case c.Action == Allow && c.namesClients() && c.opensAny(closed):
			return i, true
		case c.Action == Deny && c.Mode == Observe && !c.anyone: // see lets
			return i, true
		case c.Action == Deny && !p.observed(c) && c.to.any && len(c.Users) == 0:
			closed = append(closed, c.ports...)
		}
	}
	return -1, p.everybody
}

// namesClients tells whether a rule is for its clients, rather than for users
// wherever they are.
func (c *compiled) namesClients() bool {
	everywhere := func(p netip.Prefix) bool { return p.Bits() == 0 }
	return len(c.Users) == 0 || !c.anyone && !slices.ContainsFunc(c.clients.list, everywhere)
}

// opensAny tells whether some port of a rule is not within the closed ones.
func (c *compiled) opensAny(closed []PortRange) bool {
	return slices.ContainsFunc(c.ports, func(r PortRange) bool { return !portsCover(closed, r) })
}

// View is what one rule means for one client.
type View struct {
	Rule  Rule // as it was written
	Ports []PortRange
	// Observed says that what the rule refuses passes.
	Observed bool
}

// For returns the rules that are for a client by its address, in their order: those
// that match it, but for such as let users through from anywhere.
func (p *Policy) For(client netip.Addr) []View {
	var list []View
	client = plain(client)
	for i := range p.Len() {
		if c := &p.rules[i]; c.matchClient(client) && c.namesClients() {
			list = append(list, View{Rule: c.Rule, Ports: c.ports, Observed: p.observed(c)})
		}
	}
	return list
}
