// Package access decides who may pull what: rules of the acl package, whose
// destinations are registries, and beside them the repositories whose private
// content a rule names. Its decisions are pure. Users are checked against an
// htpasswd file, which is the only thing that is read here. Whether a repository
// is private is found out by package pull, and answers are given by package front.
package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"sluice/acl"
	"sluice/internal/mirror/oci"
)

// Rule is one rule as it is written. Its destinations are registries as image names
// call them, each a host ("ghcr.io", "*.example.com", "203.0.113.0/24"; any port) or a
// host with a port ("reg.example.com:5000"); none: all registries. Its Ports are not
// looked at.
type Rule struct {
	acl.Rule
	// Private lists what the clients and users of the rule may pull although its
	// upstream gives it to nobody without credentials, fetched with the mirror's own:
	// repositories ("ghcr.io/acme/app"), or all below a path ("ghcr.io/acme/*",
	// "ghcr.io/*").
	Private []string
}

// Policy is a compiled, immutable list of rules, safe for concurrent use. The nil
// Policy admits nobody.
type Policy struct {
	acl   *acl.Policy
	of    []int // the rule that a rule of acl is of
	rules []compiled
}

// compiled is one rule. It stands in Policy.acl, and alone too: whether it names a
// client for private content is asked where an earlier one has decided.
type compiled struct {
	Rule
	alone   *acl.Policy
	private []pattern
}

// New compiles rules. The errors are *acl.RuleError; their field may be "private".
func New(rules []Rule) (*Policy, error) {
	p := &Policy{rules: make([]compiled, len(rules))}
	seen := make(map[string]int, len(rules))
	var all []acl.Rule
	for i, r := range rules {
		if r.Name == "" {
			return nil, &acl.RuleError{Rule: i, Field: "name", Item: -1, Err: fmt.Errorf("the rule has no name")}
		}
		if first, dup := seen[r.Name]; dup {
			return nil, &acl.RuleError{Rule: i, Field: "name", Item: -1, Err: fmt.Errorf("rule %q has the name of rule %d: give each its own", r.Name, first+1)}
		}
		seen[r.Name] = i
		parts, err := p.rules[i].compile(i, r)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			part.Name = fmt.Sprint(len(all))
			all = append(all, part)
			p.of = append(p.of, i)
		}
	}
	var err error
	p.acl, err = acl.New(all, nil)
	return p, err
}

func (c *compiled) compile(i int, r Rule) ([]acl.Rule, error) {
	c.Rule = r
	parts, err := byPort(i, r)
	if err != nil {
		return nil, err
	}
	for j, s := range r.Private {
		pat, err := parsePattern(s)
		if err != nil {
			return nil, &acl.RuleError{Rule: i, Field: "private", Item: j, Err: err}
		}
		if r.Action != acl.Allow {
			return nil, &acl.RuleError{Rule: i, Field: "private", Item: j, Err: fmt.Errorf("a rule that denies names nothing private: clients have that from rules that allow")}
		}
		c.private = append(c.private, pat)
	}
	c.alone, err = acl.New(parts, nil)
	return parts, err
}

var anyPort = []acl.PortRange{{First: 1, Last: 65535}}

// byPort returns the rules of acl that together are one: a rule there has ports for
// all of its destinations, here each destination has its own. Each destination is
// compiled by itself first, so that an error names its place.
func byPort(i int, r Rule) ([]acl.Rule, error) {
	r.Ports = anyPort
	if _, err := acl.New([]acl.Rule{{Name: r.Name, Clients: r.Clients}}, nil); err != nil {
		if at, ok := errors.AsType[*acl.RuleError](err); ok {
			at.Rule = i
		}
		return nil, err
	}
	if len(r.To) == 0 {
		return []acl.Rule{r.Rule}, nil
	}
	parts := []acl.Rule{}
	at := make(map[acl.PortRange]int)
	for j, s := range r.To {
		host, ports, err := splitRegistry(s)
		if err == nil {
			_, err = acl.New([]acl.Rule{{Name: r.Name, To: []string{host}}}, nil)
		}
		if err != nil {
			return nil, &acl.RuleError{Rule: i, Field: "to", Item: j, Err: err}
		}
		k, known := at[ports]
		if !known {
			k = len(parts)
			at[ports] = k
			part := r.Rule
			part.Name, part.To, part.Ports = fmt.Sprint(k), nil, []acl.PortRange{ports}
			parts = append(parts, part)
		}
		parts[k].To = append(parts[k].To, host)
	}
	return parts, nil
}

// splitRegistry takes a port off a destination: an IPv6 address that has one stands
// in brackets.
func splitRegistry(s string) (host string, ports acl.PortRange, err error) {
	if strings.Count(s, ":") != 1 && !strings.HasPrefix(s, "[") {
		return s, anyPort[0], nil
	}
	if inner, ok := strings.CutSuffix(s, "]"); ok {
		return strings.TrimPrefix(inner, "["), anyPort[0], nil
	}
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", acl.PortRange{}, fmt.Errorf("%q is not a registry such as %q", s, "reg.example.com:5000")
	}
	port, err := acl.ParsePort(digits)
	if err != nil {
		return "", acl.PortRange{}, fmt.Errorf("%q: %w", s, err)
	}
	return host, acl.PortRange{First: port, Last: port}, nil
}

// Verdict says what a client may do with a repository. The zero value: nothing.
type Verdict struct {
	Allowed   bool
	NeedsUser bool   // credentials, of which there are none, could turn the denial
	Private   bool   // a rule names the client for it, should it be private
	Rule      string // the one that decided; "": none matched
	Sentence  string // why it is denied, to be told to the client; "": it is not
}

// httpsPort is the port of a registry whose name has none.
const httpsPort = 443

// Decide finds the first rule that matches. user is who has logged in, "" for nobody.
//
// Private content is another question: the first rule that matches and either lists
// the repository or denies is the answer, so that a rule for everybody may stand
// ahead of one that names a few for what is private.
func (p *Policy) Decide(client netip.Addr, user string, r oci.Repository) Verdict {
	req := acl.Request{Client: client, User: user, Port: httpsPort}
	host, port, err := splitRegistry(r.Registry)
	if err == nil {
		req.Host, err = acl.ParseHost(host)
	}
	if err != nil || p == nil {
		return Verdict{Sentence: fmt.Sprintf("no rule lets %s pull from that registry", who(req))}
	}
	if port != anyPort[0] {
		req.Port = port.First
	}
	d := p.acl.Decide(req)
	v := Verdict{Allowed: d.Passes(), NeedsUser: d.NeedsUser}
	if d.Rule >= 0 {
		v.Rule = p.rules[p.of[d.Rule]].Name
	}
	if v.Allowed {
		v.Private = p.namesFor(req, r)
		return v
	}
	v.Sentence = p.sentence(req, d, r)
	return v
}

func (p *Policy) namesFor(req acl.Request, r oci.Repository) bool {
	for i := range p.rules {
		c := &p.rules[i]
		if c.Mode == acl.Observe {
			continue
		}
		switch d := c.alone.Decide(req); {
		case d.Rule < 0:
		case d.Action == acl.Deny:
			return false
		case c.lists(r):
			return true
		}
	}
	return false
}

func (c *compiled) lists(r oci.Repository) bool {
	for _, pat := range c.private {
		if pat.matches(r) {
			return true
		}
	}
	return false
}

func who(r acl.Request) string {
	client := r.Client.WithZone("").Unmap().String()
	if r.User != "" {
		return r.User + " at " + client
	}
	return client
}

// sentence names the client, what it asked for, and a rule that denies this to it;
// nothing of others.
func (p *Policy) sentence(req acl.Request, d acl.Decision, r oci.Repository) string {
	what := r.String()
	if d.Rule >= 0 && p.rules[p.of[d.Rule]].Action == acl.Deny {
		return fmt.Sprintf("rule %s denies %s to %s", p.rules[p.of[d.Rule]].Name, what, who(req))
	}
	s := fmt.Sprintf("no rule lets %s pull %s", who(req), what)
	switch {
	case d.NeedsUser:
		s += "; users who log in may"
	case p.acl.Elsewhere(req, d):
		s += "; it may pull from other registries"
	}
	return s
}

// AdmitsClient tells whether any rule could let this client pull something, with
// credentials or without.
func (p *Policy) AdmitsClient(a netip.Addr) bool { return p != nil && p.acl.AdmitsClient(a) }
