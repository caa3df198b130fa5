package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
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
	inner := acl.Unwrap(a)
	if c.Own != nil && (c.Own(netip.AddrPortFrom(a, c.Port)) || inner != a && c.Own(netip.AddrPortFrom(inner, c.Port))) {
		c.note(loop, netip.Addr{}, fmt.Errorf("%s is an address of this proxy", a))
		return false
	}
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

func (c *call) privateAllowed(a netip.Addr) bool {
	for _, p := range c.AllowPrivate {
		if p.Contains(a) {
			return true
		}
	}
	return false
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

// OwnAddrs returns a function that tells whether a connection to an address
// would reach one of the listeners. A listener on the unspecified address is
// reached over every address of this host, all of 127.0.0.0/8, and the
// unspecified addresses themselves. The host's addresses are read when the port
// is that of such a listener, and at most once a second. Ports that the host or
// a container engine forwards to a listener are not seen.
func OwnAddrs(listeners []netip.AddrPort) func(netip.AddrPort) bool {
	o := &own{}
	for _, l := range listeners {
		a := l.Addr().WithZone("").Unmap()
		if a.IsUnspecified() || !a.IsValid() {
			o.anywhere = append(o.anywhere, l.Port())
		}
		o.exact = append(o.exact, netip.AddrPortFrom(a, l.Port()))
	}
	return o.has
}

type own struct {
	exact    []netip.AddrPort
	anywhere []uint16 // ports of listeners on the unspecified address

	mu    sync.Mutex
	read  time.Time
	local []netip.Addr
}

// localFor is how long a list of the host's addresses is believed. Reading it
// takes two dumps over netlink.
const localFor = time.Second

func (o *own) has(to netip.AddrPort) bool {
	a := to.Addr().WithZone("").Unmap()
	for _, l := range o.exact {
		if l.Port() == to.Port() && (l.Addr() == a || a.IsUnspecified()) {
			return true
		}
	}
	if !slices.Contains(o.anywhere, to.Port()) {
		return false
	}
	return a.IsLoopback() || slices.Contains(o.locals(), a) || routedHere(a)
}

// routedHere tells whether a route of type local makes this host answer for an
// address that no interface has, as agents of clouds and load balancers set them
// (ip-route(8)). The host then takes the address itself as the source; not so
// with IPv6, whose routes of that type are not seen.
func routedHere(a netip.Addr) bool {
	src, err := source(a)
	return err == nil && src == a
}

// locals returns the addresses of this host's interfaces; when they cannot be
// read, those that were known last.
func (o *own) locals() []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.read) < localFor {
		return o.local
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return o.local
	}
	list := make([]netip.Addr, 0, len(nets))
	for _, n := range nets {
		if p, ok := n.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(p.IP); ok {
				list = append(list, a.Unmap())
			}
		}
	}
	o.local, o.read = list, time.Now()
	return list
}
