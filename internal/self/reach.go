package self

import (
	"net"
	"net/netip"
	"os"
	"strconv"

	"sluice/acl"
	"sluice/internal/setup"
)

// Somebody returns an address of the first clients on other machines whom a rule
// names and lets through. ok is false when there are none.
func Somebody(p *acl.Policy) (client netip.Addr, ok bool) {
	for i := range p.Len() {
		if p.Rule(i).Action != acl.Allow {
			continue
		}
		for _, prefix := range p.ClientPrefixes(i) {
			a := prefix.Addr()
			if a.IsLoopback() {
				continue
			}
			if prefix.Bits() == 0 {
				a = netip.Addr{} // nobody in particular
			}
			if _, admitted := p.Admits(prefix.Addr()); admitted {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// Reachable guesses under which HOST:PORT a client reaches a listener of this machine:
// the listener's own address, or else the one that this machine sends to that client
// from, its first with global scope, or its name. ok is false when only this machine
// itself reaches the listener. Nothing is sent to find out.
func Reachable(listener netip.AddrPort, client netip.Addr) (proxy string, ok bool) {
	a, port := listener.Addr().Unmap(), listener.Port()
	switch {
	case a.IsLoopback():
		return "", false
	case !a.IsUnspecified():
		return netip.AddrPortFrom(a.WithZone(""), port).String(), true
	}
	fits := func(own netip.Addr) bool { return own.IsGlobalUnicast() && (own.Is4() || a.Is6()) }
	if own := towards(client); fits(own) {
		return netip.AddrPortFrom(own, port).String(), true
	}
	for _, own := range addresses() {
		if fits(own) {
			return netip.AddrPortFrom(own, port).String(), true
		}
	}
	name, err := os.Hostname()
	return net.JoinHostPort(name, strconv.Itoa(int(port))), err == nil
}

// towards returns the address that this machine has on its way to another: the kernel
// chooses it when a socket for datagrams is connected, which sends none.
func towards(client netip.Addr) netip.Addr {
	if !client.IsValid() {
		return netip.Addr{}
	}
	const discard = 9
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(client, discard)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// addresses returns this machine's addresses, those of IPv4 first.
func addresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var v4, v6 []netip.Addr
	for _, item := range list {
		n, ok := item.(*net.IPNet)
		if !ok {
			continue
		}
		a, _ := netip.AddrFromSlice(n.IP)
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	return append(v4, v6...)
}

// Command is what sets a client up by its name, on its own machine, through the proxy
// at HOST:PORT.
func Command(proxy, client string) string {
	c, _ := setup.Lookup(client)
	return command("http://"+proxy, c)
}
