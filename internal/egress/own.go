package egress

import (
	"net/netip"
	"slices"
)

// OwnAddrs returns a function that tells whether a connection to an address
// would reach one of the listeners. A listener on the unspecified address is
// reached over every address of this host and the unspecified addresses
// themselves. Which addresses are of this host is asked each time, when the port
// is that of such a listener: those that came after the start are known as well.
// Ports that the host or a container engine forwards to a listener are not seen.
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
}

func (o *own) has(to netip.AddrPort) bool {
	a := to.Addr().WithZone("").Unmap()
	for _, l := range o.exact {
		if l.Port() == to.Port() && (l.Addr() == a || a.IsUnspecified()) {
			return true
		}
	}
	return slices.Contains(o.anywhere, to.Port()) && (a.IsLoopback() || here(a))
}
