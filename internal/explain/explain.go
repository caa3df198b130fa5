// Package explain answers whether the rules let a client reach a destination, and
// why, in the same words to the command line and to the admin interface. Reading the
// configuration and showing the answer are left to them.
package explain

import (
	"fmt"
	"net"
	"net/netip"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/presets"
)

// Answer is what becomes of a request.
type Answer struct {
	Allowed   bool
	Observed  bool       // allowed because of observe mode, and refused without
	NeedsUser bool       // denied, but credentials could change that
	Rule      string     // the deciding one; "" when none matched
	Sentence  string     // why, in one line; if Observed, why it would be refused
	Steps     []acl.Step // rule by rule, up to the deciding one
}

// Question reads a client's address and a destination of the form HOST:PORT. An
// error begins with "client" or "to", the name of what is wrong.
func Question(client, to, user string) (acl.Request, error) {
	var req acl.Request
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return req, fmt.Errorf("client %q is not an address", client)
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return req, fmt.Errorf("to %q is not HOST:PORT, such as example.com:443", to)
	}
	h, err := acl.ParseHost(host)
	if err != nil {
		return req, fmt.Errorf("to %q: %w", to, err)
	}
	p, err := acl.ParsePort(port)
	if err != nil {
		return req, fmt.Errorf("to %q: %w", to, err)
	}
	return acl.Request{Client: addr.WithZone("").Unmap(), User: user, Host: h, Port: p}, nil
}

// Explain asks the rules. refuses tells why an address is never dialled, or nil.
func Explain(p *acl.Policy, refuses func(netip.AddrPort) *egress.Error, req acl.Request) Answer {
	d, steps := p.Explain(req)
	a := Answer{Steps: steps}
	if d.Rule >= 0 {
		a.Rule = p.Rule(d.Rule).Name
	}
	if d.Action == acl.Deny {
		a.NeedsUser, a.Sentence = d.NeedsUser, p.Sentence(req, d)
		if !req.Host.IsAddr() && p.Elsewhere(req, d) {
			if hint := presets.Hint(req.Host.Name(), req.Port, nil); hint != "" {
				a.Sentence += "; " + hint
			}
		}
	}
	if !d.Passes() {
		return a
	}
	if e := refused(refuses, req); e != nil {
		passes := fmt.Sprintf("rule %s allows it", a.Rule)
		if d.Observed {
			passes = "observe mode lets it pass"
		}
		a.NeedsUser, a.Sentence = false, fmt.Sprintf("%s, but %s", passes, e.Sentence)
		if e.Kind == egress.NotPublic && !acl.Unwrap(req.Host.Addr()).IsUnspecified() {
			a.Sentence += ", and egress.allow_private does not list it"
		}
		return a
	}
	a.Allowed, a.Observed = true, d.Observed
	if d.Observed {
		return a
	}
	a.Sentence = fmt.Sprintf("rule %s lets %s reach %s", a.Rule, req.Client, req.Host.Join(req.Port))
	if !req.Host.IsAddr() {
		a.Sentence += "; addresses that it resolves to are judged when it is dialled"
	}
	return a
}

// refused tells why a literal address is never dialled, or nil.
func refused(refuses func(netip.AddrPort) *egress.Error, req acl.Request) *egress.Error {
	if !req.Host.IsAddr() {
		return nil
	}
	return refuses(netip.AddrPortFrom(req.Host.Addr(), req.Port))
}
