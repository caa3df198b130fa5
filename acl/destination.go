package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// destinations is a compiled `to` list. The zero value matches nothing; any
// matches every destination.
type destinations struct {
	any   bool
	exact nameSet // whole names
	under nameSet // name after "*.": its subdomains match
	addrs prefixSet
}

// add takes in one pattern, presets expanded before. at is where it is in the list of
// the rule, or -1 for one of a preset.
func (d *destinations) add(pattern string, list []string, at int) error {
	if looksLikeAddr(pattern) {
		p, err := parsePrefix(pattern)
		if err == nil {
			d.addrs.insert(p)
			return nil
		}
		if errors.Is(err, errHostBits) || strings.ContainsRune(pattern, '/') {
			return err
		}
	}
	rest, sub := strings.CutPrefix(pattern, "*.")
	self := !sub
	if !sub {
		if r, ok := strings.CutPrefix(pattern, "."); ok {
			rest, sub = r, true
		}
	}
	if strings.ContainsRune(rest, '*') {
		return fmt.Errorf("%q: a wildcard stands only at the front, as in %q", pattern, "*.example.com")
	}
	h, err := ParseHost(rest)
	if err != nil {
		return fmt.Errorf("%q is neither a host name, an address, a CIDR nor a @preset", pattern)
	}
	if h.IsAddr() {
		if sub {
			return fmt.Errorf("%q: an address has no subdomains", pattern)
		}
		return fmt.Errorf("%q is an address in an unusual spelling: write %q", pattern, h.String())
	}
	if self {
		d.exact.add(h.name, list, at)
	}
	if sub {
		d.under.add(h.name, list, at)
	}
	return nil
}

// looksLikeAddr spares names, of which there may be a million, the attempt to
// read them as an address or CIDR.
func looksLikeAddr(s string) bool {
	last := s[max(0, len(s)-1):]
	return strings.ContainsAny(s, ":/") || "0" <= last && last <= "9"
}

// match tells whether the host, as the client asked for it, is in the list.
// It allocates nothing.
func (d *destinations) match(h Host) bool {
	if d.any {
		return true
	}
	if h.IsAddr() {
		return d.addrs.contains(h.addr)
	}
	if d.exact.has(h.name) {
		return true
	}
	if d.under.len() == 0 {
		return false
	}
	for rest := h.name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		if d.under.has(rest) {
			return true
		}
	}
}

// covers tells whether every destination of e is one of d.
func (d *destinations) covers(e *destinations) bool {
	if d.any {
		return true
	}
	if e.any || !d.addrs.covers(&e.addrs) {
		return false
	}
	for name := range e.exact.all() {
		if !d.match(Host{name: name}) {
			return false
		}
	}
	for name := range e.under.all() {
		if !d.under.has(name) && !d.underParent(name) {
			return false
		}
	}
	return true
}

// underParent tells whether a proper parent of name is in d.under, so that all
// subdomains of name match.
func (d *destinations) underParent(name string) bool {
	for {
		i := strings.IndexByte(name, '.')
		if i < 0 {
			return false
		}
		name = name[i+1:]
		if d.under.has(name) {
			return true
		}
	}
}

// overlaps tells whether some destination is in both lists, or a name of d may
// resolve into a range of e.
func (d *destinations) overlaps(e *destinations) bool {
	return d.any || e.any || d.addrs.overlaps(&e.addrs) || d.sharesName(e) || e.sharesName(d) ||
		d.exact.len()+d.under.len() > 0 && len(e.addrs.list) > 0
}

// sharesName tells whether d matches some name that e does: one that e has whole,
// or all below one whose subdomains e has.
func (d *destinations) sharesName(e *destinations) bool {
	for name := range e.exact.all() {
		if d.match(Host{name: name}) {
			return true
		}
	}
	for name := range e.under.all() {
		if d.under.has(name) || d.underParent(name) {
			return true
		}
	}
	return false
}

var errHostBits = errors.New("host bits set")

// parsePrefix reads an address or a CIDR without host bits; IPv4-mapped ones
// become IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.ContainsRune(s, '/') {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is not an address or CIDR", s)
		}
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q: a zone is not accepted", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR such as 192.0.2.0/24", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		return netip.Prefix{}, fmt.Errorf("%q has %w: write %q for the network or %q for the one address", s, errHostBits, m, p.Addr())
	}
	return p, nil
}

// ParsePrefix reads an address or a CIDR as the rules do. A CIDR with host bits
// set is an error that names both things that may have been meant.
func ParsePrefix(s string) (netip.Prefix, error) { return parsePrefix(s) }
