package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Request is what a decision is made on.
type Request struct {
	Client netip.Addr // source address; mapped IPv4 and zones are taken off here
	User   string     // authenticated user; "" for none
	Host   Host
	Port   uint16
}

// Decision says what becomes of a request. The zero value denies.
type Decision struct {
	// Action is what the rules say, those in observe mode included.
	Action Action
	// Rule is the index of the rule that decided, or -1 when none matched. Where
	// none matched and a rule that allows lets the request pass because it is in
	// observe mode, it is the index of that one.
	Rule int
	// NeedsUser is set on a denial of a request without user which credentials
	// could turn into an admission.
	NeedsUser bool
	Observation
}

// Observation says how a request passes that is denied. It is small, and a part of
// its own, so that a Decision has four fields and four words and the compiler keeps
// it in registers: in memory it made Decide half as slow again.
type Observation struct {
	Observed bool // it does
	under    int32
	ahead    int32 // how many rules stand ahead of what lets it pass
}

// Under returns the index of the rule whose limits hold for what passes, or -1.
func (d Decision) Under() int {
	if d.Observed {
		return int(d.under)
	}
	return d.Rule
}

// aheadOf returns how many rules stand ahead of what lets the request pass.
func (d Decision) aheadOf() int {
	if d.Observed {
		return int(d.ahead)
	}
	return max(d.Rule, 0)
}

// Passes tells whether the request passes.
func (d Decision) Passes() bool { return d.Action == Allow || d.Observed }

// String returns "allow", "deny", or "observe" for what is denied and passes.
func (d Decision) String() string {
	if d.Observed {
		return "observe"
	}
	return d.Action.String()
}

// Decide finds the first rule that matches. Where that denies in observe mode, the
// ones behind it decide whether the request passes. It allocates nothing.
func (p *Policy) Decide(r Request) Decision {
	d := Decision{Action: Deny, Rule: -1}
	if p == nil {
		return d
	}
	client := plain(r.Client)
	d.Rule, d.NeedsUser = p.match(client, &r, 0)
	if i := d.Rule; i >= 0 && p.rules[i].Action == Allow {
		return Decision{Action: Allow, Rule: i}
	}
	if p.observes {
		return p.observe(client, &r, d)
	}
	return d
}

// match returns the first rule from the given one on that matches, or -1, and
// whether a rule ahead of it allows with credentials, which the request has not.
func (p *Policy) match(client netip.Addr, r *Request, from int) (rule int, needsUser bool) {
	for i := from; i < len(p.rules); i++ {
		c := &p.rules[i]
		if !c.matchClient(client) || !c.matchPort(r.Port) || !c.matchTo(r.Host) {
			continue
		}
		if c.matchUser(r.User) {
			return i, needsUser
		}
		needsUser = needsUser || r.User == "" && c.Action == Allow
	}
	return -1, needsUser
}

// plain takes off what keeps an address from being found in a prefix.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

func (c *compiled) matchClient(a netip.Addr) bool {
	return a.IsValid() && (c.anyone || c.clients.contains(a))
}

// matchTo also holds the ranges of a deny rule against the IPv4 addresses that an
// IPv6 one stands for: 64:ff9b::203.0.113.7 is no way around 203.0.113.0/24.
func (c *compiled) matchTo(h Host) bool {
	return c.to.match(h) || c.denyAddrs && h.IsAddr() && c.standsInRange(h.addr)
}

func (c *compiled) standsInRange(a netip.Addr) bool {
	var buf [4]netip.Addr
	for _, v4 := range StandsFor(buf[:0], a, 0) {
		if c.to.addrs.contains(v4) {
			return true
		}
	}
	return false
}

func (c *compiled) matchUser(user string) bool {
	return len(c.Users) == 0 || user != "" && slices.Contains(c.Users, user)
}

func (c *compiled) matchPort(port uint16) bool {
	for _, r := range c.ports {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

// DenyAddr returns the first enforced deny rule ahead of what let the request pass
// that names an address to which the requested name resolved, or -1. A request by
// address was judged by Decide already.
func (p *Policy) DenyAddr(r Request, d Decision, resolved netip.Addr) int {
	return p.addrRule(r, d, resolved, false)
}

// ObserveAddr is DenyAddr for rules in observe mode, which let the address pass.
func (p *Policy) ObserveAddr(r Request, d Decision, resolved netip.Addr) int {
	if p == nil || !p.observes {
		return -1
	}
	return p.addrRule(r, d, resolved, true)
}

func (p *Policy) addrRule(r Request, d Decision, resolved netip.Addr, observed bool) int {
	if !p.DeniesAddrs() {
		return -1
	}
	client, host := plain(r.Client), Host{addr: plain(resolved)}
	for i := range p.rules[:d.aheadOf()] {
		c := &p.rules[i]
		if c.denyAddrs && p.observed(c) == observed && c.matchClient(client) && c.matchPort(r.Port) && c.matchUser(r.User) && c.matchTo(host) {
			return i
		}
	}
	return -1
}

// AdmitsClient tells whether any rule could admit this client for some
// destination, with credentials or without.
func (p *Policy) AdmitsClient(client netip.Addr) bool {
	switch {
	case p == nil:
		return false
	case p.everybody:
		return true
	}
	client = plain(client)
	for i := range p.rules {
		c := &p.rules[i]
		if (c.Action == Allow || c.Mode == Observe && !c.anyone) && c.matchClient(client) {
			return true
		}
	}
	return false
}

// WantsUser tells whether some rule for this client asks for a user.
func (p *Policy) WantsUser(client netip.Addr) bool {
	if p == nil || !p.users {
		return false
	}
	client = plain(client)
	for i := range p.rules {
		if c := &p.rules[i]; len(c.Users) > 0 && c.matchClient(client) {
			return true
		}
	}
	return false
}

// Sentence says why a request was denied, in one line that may be told to its
// client: it names the client, the destination and rules that match this client,
// and nothing of others.
func (p *Policy) Sentence(r Request, d Decision) string {
	who := plain(r.Client).String()
	if r.User != "" {
		who = r.User + " at " + who
	}
	where := r.Host.Join(r.Port)
	if d.Rule >= 0 && p.rules[d.Rule].Action == Deny {
		return fmt.Sprintf("rule %s denies %s to %s", p.rules[d.Rule].Name, where, who)
	}
	s := fmt.Sprintf("no rule lets %s reach %s", who, where)
	if hint := p.hint(r); hint != "" {
		s += "; " + hint
	}
	return s
}

// hint names the rule that came nearest.
func (p *Policy) hint(r Request) string {
	switch c, there := p.nearest(r); {
	case c == nil:
		return ""
	case there:
		return fmt.Sprintf("rule %s admits only port %s there", c.Name, portList(c.ports))
	default:
		return fmt.Sprintf("rule %s admits this client, but not to that host", c.Name)
	}
}

// nearest returns the rule that comes nearest to allowing a request: the first for
// the same destination on other ports (there), or else the first that admits this
// client elsewhere; nil: there is none.
func (p *Policy) nearest(r Request) (c *compiled, there bool) {
	if p == nil {
		return nil, false
	}
	client := plain(r.Client)
	var elsewhere *compiled
	for i := range p.rules {
		c := &p.rules[i]
		if c.Action != Allow || !c.matchClient(client) || !c.matchUser(r.User) {
			continue
		}
		if c.to.match(r.Host) {
			return c, true
		}
		if elsewhere == nil {
			elsewhere = c
		}
	}
	return elsewhere, false
}

// Elsewhere tells whether a request was denied because no rule names its host,
// though one admits its client to other hosts.
func (p *Policy) Elsewhere(r Request, d Decision) bool {
	if d.Rule >= 0 && p.rules[d.Rule].Action == Deny {
		return false
	}
	c, there := p.nearest(r)
	return c != nil && !there
}

func portList(ports []PortRange) string {
	texts := make([]string, len(ports))
	for i, r := range ports {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// Step is what one rule made of a request.
type Step struct {
	Rule     string // the rule's name
	Action   Action
	Matched  bool
	Why      string // "matches", or the first part that does not
	Observed bool   // the rule is in observe mode, or all are
}

// Explain tells rule by rule how Decide comes to its decision. The last step is the
// first rule that matches, but for rules that deny in observe mode, if there is one.
func (p *Policy) Explain(r Request) (Decision, []Step) {
	d := p.Decide(r)
	client := plain(r.Client)
	var steps []Step
	for i := range p.Len() {
		c := &p.rules[i]
		s := Step{Rule: c.Name, Action: c.Action, Observed: p.observed(c), Why: c.why(client, r)}
		s.Matched = s.Why == ""
		if s.Matched {
			s.Why = c.matches(r)
		}
		steps = append(steps, s)
		if s.Matched && (c.Action == Allow || !s.Observed) {
			break
		}
	}
	return d, steps
}

// why names the first part of the rule that does not match, or "".
func (c *compiled) why(client netip.Addr, r Request) string {
	switch {
	case !c.matchClient(client):
		return fmt.Sprintf("client %s is not in clients", client)
	case !c.matchTo(r.Host):
		return fmt.Sprintf("%s is not in to", r.Host)
	case !c.matchPort(r.Port):
		return fmt.Sprintf("port %d is not in ports (%s)", r.Port, portList(c.ports))
	case !c.matchUser(r.User) && r.User == "":
		return "it asks for a user and the request has none"
	case !c.matchUser(r.User):
		return fmt.Sprintf("user %s is not in users", r.User)
	}
	return ""
}

func (c *compiled) matches(r Request) string {
	where := "anywhere"
	if !c.to.any {
		where = r.Host.String()
	}
	return fmt.Sprintf("matches client, destination (%s) and port %d", where, r.Port)
}

// DeniesAddrs tells whether any deny rule names addresses, so that DenyAddr has
// something to say.
func (p *Policy) DeniesAddrs() bool { return p != nil && p.denyAddrs }
