//go:build !linux

package egress

import (
	"net"
	"net/netip"
)

// here tells whether an interface of this host has the address.
func here(a netip.Addr) bool {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, n := range nets {
		if p, ok := n.(*net.IPNet); ok {
			if b, ok := netip.AddrFromSlice(p.IP); ok && b.Unmap() == a {
				return true
			}
		}
	}
	return false
}
