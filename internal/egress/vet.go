package egress

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/acl"
)

// Refuses returns the error of a dial to an address that does not pass, or nil.
// It dials nothing.
func (d *Dialer) Refuses(a netip.AddrPort) *Error {
	h, err := acl.HostFromAddr(a.Addr())
	if err != nil {
		return &Error{Kind: Malformed, Sentence: err.Error()}
	}
	now := time.Now()
	c := call{Dialer: d, Target: Target{Host: h, Port: a.Port()}, start: now}
	if c.vet(h.Addr()) {
		return nil
	}
	return c.failure(context.Background(), now)
}

// vet tells whether an address, unmapped, may be dialled, and notes why not. An
// address of the proxy itself is refused before all else, so that no
// configuration can make a loop. The unspecified address is no destination
// (RFC 1122, section 3.2.1.3): kernels take it for this host.
func (c *call) vet(a netip.Addr) bool {
	if c.own(a) {
		if !hasSocket() {
			c.note(full, netip.Addr{}, fmt.Errorf("no socket to ask whether %s is an address of this proxy", a))
			return false
		}
		c.note(loop, netip.Addr{}, fmt.Errorf("%s is an address of this proxy", a))
		return false
	}
	inner := acl.Unwrap(a)
	if what, not := acl.NotPublic(a); not && (inner.IsUnspecified() || !c.privateAllowed(inner)) {
		c.noted(c.notPublic(a, what))
		return false
	}
	if c.Deny != nil {
		if says := c.Deny(a); says != "" {
			c.noted(failure{cause: ruleDenied, says: says, err: fmt.Errorf("a rule denies %s", a)})
			return false
		}
	}
	return true
}

// own tells whether an address, or what it stands for, is the proxy's.
func (c *call) own(a netip.Addr) bool {
	if c.Own == nil {
		return false
	}
	if c.Own(netip.AddrPortFrom(a, c.Port)) {
		return true
	}
	var buf [4]netip.Addr
	for _, v4 := range acl.StandsFor(buf[:0], a, 0) {
		if c.Own(netip.AddrPortFrom(v4, c.Port)) {
			return true
		}
	}
	return false
}

// privateAllowed tells whether an address that is not public may be dialled. A
// range of IPv6 that stands for IPv4, a site's own NAT64 for one, lets no more of
// IPv4 be reached than could be without it.
func (c *call) privateAllowed(a netip.Addr) bool {
	for _, p := range c.AllowPrivate {
		if p.Contains(a) && c.insideAllowed(a, p.Bits()) {
			return true
		}
	}
	return false
}

func (c *call) insideAllowed(a netip.Addr, bits int) bool {
	var buf [4]netip.Addr
	for _, v4 := range acl.StandsFor(buf[:0], a, bits) {
		_, not := acl.NotPublic(v4)
		if not && !slices.ContainsFunc(c.AllowPrivate, func(p netip.Prefix) bool { return p.Contains(v4) }) {
			return false
		}
	}
	return true
}

// notPublic names the address to the client only if the client named it first:
// what names inside resolve to is not for everyone.
func (c *call) notPublic(a netip.Addr, what string) failure {
	f := failure{cause: notPublic, err: fmt.Errorf("%s is not a public address (%s)", a, what)}
	if c.Host.IsAddr() {
		f.says = f.err.Error()
	} else {
		f.says = c.Host.Name() + " resolves to an address that is not public"
	}
	return f
}
