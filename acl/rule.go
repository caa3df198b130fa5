// Package acl decides who may go where. Its decisions are pure: they read
// nothing but the request and an immutable Policy, and each can explain itself
// rule by rule. Resolving names, checking passwords, counting and refusing on
// the wire are left to others.
//
// Rules are tried in their order and the first that matches decides; a request
// that none matches is denied. A name is matched as the client asked for it and
// is never looked up backwards; a client that asks by address is matched by
// address alone. Because a deny rule with a CIDR would otherwise be evaded by a
// name that resolves into it, Policy.DenyAddr judges every resolved address
// against the deny rules as well.
//
// A rule in observe mode, or a whole policy (Policy.Observing), lets pass what it
// would refuse, and the Decision says so; never what a rule that is enforced denies.
package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Action is what a rule does with a request that it matches.
type Action uint8

const (
	Deny  Action = iota // the zero value, so that a forgotten action admits nobody
	Allow               // pass, within the rule's limits
)

// String returns "deny" or "allow", as the configuration spells them.
func (a Action) String() string {
	if a == Allow {
		return "allow"
	}
	return "deny"
}

// Mode tells whether what a rule refuses is refused.
type Mode uint8

const (
	Enforce Mode = iota
	Observe      // it passes, and its record says what would have been
)

// String returns "enforce" or "observe", as the configuration spells them.
func (m Mode) String() string {
	if m == Observe {
		return "observe"
	}
	return "enforce"
}

// PortRange is an inclusive range of ports.
type PortRange struct{ First, Last uint16 }

// String returns "443" or "8000-8099".
func (r PortRange) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// defaultPorts are the ports of a rule that names none.
var defaultPorts = []PortRange{{80, 80}, {443, 443}}

// DefaultPorts returns the ports of a rule that names none.
func DefaultPorts() []PortRange { return slices.Clone(defaultPorts) }

// Rule is one rule as it is written.
type Rule struct {
	Name    string // shows in denials, logs and metrics; unique
	Action  Action // zero: deny
	Mode    Mode
	Clients []string    // addresses and CIDRs; empty: any client
	Users   []string    // authenticated users; empty: no credentials needed
	To      []string    // names, addresses, CIDRs and @presets; empty: anywhere
	Ports   []PortRange // empty: 80 and 443
}

// RuleError says what is wrong with a rule and where, so that the reader of a
// file can point at the line.
type RuleError struct {
	Rule  int    // index in the rules given to New
	Field string // "name", "clients", "to", "ports"
	Item  int    // index in the field, or -1 for the whole
	Err   error
}

// Error returns the cause alone; place and rule are the caller's to name.
func (e *RuleError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// PresetFunc returns the patterns of a destination preset, named without "@".
type PresetFunc func(name string) (patterns []string, ok bool)

// Policy is a compiled, immutable list of rules, safe for concurrent use. The
// nil Policy denies everything.
type Policy struct {
	rules []compiled
	users bool // some rule asks for a user
	// denyAddrs: some deny rule names addresses.
	denyAddrs bool
	// observes: some rule is in observe mode, or all are. observeAll: all are, and
	// everybody: for whoever asks.
	observes, observeAll, everybody bool
}

type compiled struct {
	Rule
	index   int
	anyone  bool
	clients prefixSet
	to      destinations
	ports   []PortRange
	// denyAddrs is set for deny rules that name addresses.
	denyAddrs bool
}

// New compiles rules. The errors are *RuleError.
func New(rules []Rule, presets PresetFunc) (*Policy, error) {
	p := &Policy{rules: make([]compiled, len(rules))}
	seen := make(map[string]int, len(rules))
	for i, r := range rules {
		if r.Name == "" {
			return nil, &RuleError{i, "name", -1, fmt.Errorf("the rule has no name")}
		}
		if first, dup := seen[r.Name]; dup {
			return nil, &RuleError{i, "name", -1, fmt.Errorf("rule %q has the name of rule %d: give each its own", r.Name, first+1)}
		}
		seen[r.Name] = i
		if err := p.rules[i].compile(i, r, presets); err != nil {
			return nil, err
		}
		p.users = p.users || len(r.Users) > 0
		p.denyAddrs = p.denyAddrs || p.rules[i].denyAddrs
		p.observes = p.observes || r.Mode == Observe
	}
	return p, nil
}

func (c *compiled) compile(i int, r Rule, presets PresetFunc) error {
	c.Rule, c.index = r, i
	c.ports = r.Ports
	if len(c.ports) == 0 {
		c.ports = defaultPorts
	}
	for _, pr := range c.ports {
		if pr.First == 0 || pr.Last < pr.First {
			return &RuleError{i, "ports", -1, fmt.Errorf("%s is not a port or a rising range of ports", pr)}
		}
	}
	c.anyone = len(r.Clients) == 0
	for j, s := range r.Clients {
		pre, err := parsePrefix(s)
		if err != nil {
			return &RuleError{i, "clients", j, err}
		}
		c.clients.insert(pre)
	}
	c.to.any = len(r.To) == 0
	for j := range r.To {
		if err := c.to.addWithPresets(r.To, j, presets); err != nil {
			return &RuleError{i, "to", j, err}
		}
	}
	c.denyAddrs = r.Action == Deny && len(c.to.addrs.list) > 0
	return nil
}

// PresetError names a preset that does not exist.
type PresetError struct{ Name string }

// Error names the preset with its "@".
func (e *PresetError) Error() string { return fmt.Sprintf("there is no preset %q", "@"+e.Name) }

func (d *destinations) addWithPresets(list []string, at int, presets PresetFunc) error {
	s := list[at]
	name, isPreset := strings.CutPrefix(s, "@")
	if !isPreset {
		return d.add(s, list, at)
	}
	var patterns []string
	ok := false
	if presets != nil {
		patterns, ok = presets(name)
	}
	if !ok {
		return &PresetError{name}
	}
	for _, pattern := range patterns {
		if err := d.add(pattern, list, -1); err != nil {
			return fmt.Errorf("preset %q: %w", s, err)
		}
	}
	return nil
}

// Len returns the number of rules.
func (p *Policy) Len() int {
	if p == nil {
		return 0
	}
	return len(p.rules)
}

// Rule returns rule i as it was written.
func (p *Policy) Rule(i int) Rule { return p.rules[i].Rule }

// ClientPrefixes returns the client ranges of rule i; none means any client.
func (p *Policy) ClientPrefixes(i int) []netip.Prefix { return p.rules[i].clients.list }

// Destinations returns the address ranges that rule i names as destinations.
func (p *Policy) Destinations(i int) []netip.Prefix { return p.rules[i].to.addrs.list }
