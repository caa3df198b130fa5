package acl

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"code.dny.dev/ssrf"
)

// iana has all rows of the two registries of special-purpose addresses, the
// newest being 100:0:0:1::/64 of 2025-04, and whether each is "globally
// reachable"; "N/A" and terminated rows are not. ::ffff:0:0/96 and 64:ff9b::/96
// are left out, for what counts is the IPv4 address inside. The last rows are of
// the registries of multicast and of IPv6 address space.
var iana = []struct {
	prefix, name string
	reachable    bool
}{
	{"0.0.0.0/8", "This network", false},
	{"0.0.0.0/32", "This host on this network", false},
	{"10.0.0.0/8", "Private-Use", false},
	{"100.64.0.0/10", "Shared Address Space", false},
	{"127.0.0.0/8", "Loopback", false},
	{"169.254.0.0/16", "Link Local", false},
	{"172.16.0.0/12", "Private-Use", false},
	{"192.0.0.0/24", "IETF Protocol Assignments", false},
	{"192.0.0.0/29", "IPv4 Service Continuity Prefix", false},
	{"192.0.0.8/32", "IPv4 dummy address", false},
	{"192.0.0.9/32", "Port Control Protocol Anycast", true},
	{"192.0.0.10/32", "Traversal Using Relays around NAT Anycast", true},
	{"192.0.0.170/32", "NAT64/DNS64 Discovery", false},
	{"192.0.0.171/32", "NAT64/DNS64 Discovery", false},
	{"192.0.2.0/24", "Documentation (TEST-NET-1)", false},
	{"192.31.196.0/24", "AS112-v4", true},
	{"192.52.193.0/24", "AMT", true},
	{"192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", false},
	{"192.88.99.2/32", "6a44-relay anycast address", false},
	{"192.168.0.0/16", "Private-Use", false},
	{"192.175.48.0/24", "Direct Delegation AS112 Service", true},
	{"198.18.0.0/15", "Benchmarking", false},
	{"198.51.100.0/24", "Documentation (TEST-NET-2)", false},
	{"203.0.113.0/24", "Documentation (TEST-NET-3)", false},
	{"240.0.0.0/4", "Reserved", false},
	{"255.255.255.255/32", "Limited Broadcast", false},

	{"::1/128", "Loopback Address", false},
	{"::/128", "Unspecified Address", false},
	{"64:ff9b:1::/48", "IPv4-IPv6 Translat.", false},
	{"100::/64", "Discard-Only Address Block", false},
	{"100:0:0:1::/64", "Dummy IPv6 Prefix", false},
	{"2001::/23", "IETF Protocol Assignments", false},
	{"2001::/32", "TEREDO", false},
	{"2001:1::1/128", "Port Control Protocol Anycast", true},
	{"2001:1::2/128", "Traversal Using Relays around NAT Anycast", true},
	{"2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", true},
	{"2001:2::/48", "Benchmarking", false},
	{"2001:3::/32", "AMT", true},
	{"2001:4:112::/48", "AS112-v6", true},
	{"2001:10::/28", "Deprecated (previously ORCHID)", false},
	{"2001:20::/28", "ORCHIDv2", true},
	{"2001:30::/28", "Drone Remote ID Protocol Entity Tags (DETs) Prefix", true},
	{"2001:db8::/32", "Documentation", false},
	{"2002::/16", "6to4", false},
	{"2620:4f:8000::/48", "Direct Delegation AS112 Service", true},
	{"3fff::/20", "Documentation", false},
	{"5f00::/16", "Segment Routing (SRv6) SIDs", false},
	{"fc00::/7", "Unique-Local", false},
	{"fe80::/10", "Link-Local Unicast", false},

	{"224.0.0.0/4", "Multicast", false},
	{"ff00::/8", "Multicast", false},
	{"0.0.0.0/0", "Unicast", true},
	{"2000::/3", "Global Unicast", true},
	{"::/0", "Reserved by IETF", false},
}

// registered finds the longest prefix of the registries that contains a.
func registered(a netip.Addr) (name string, reachable bool) {
	bits := -1
	for _, r := range iana {
		if p := netip.MustParsePrefix(r.prefix); p.Contains(a) && p.Bits() > bits {
			name, reachable, bits = r.name, r.reachable, p.Bits()
		}
	}
	return name, reachable
}

func TestPublicIsWhatIANASays(t *testing.T) {
	for _, r := range iana {
		for _, a := range edges(netip.MustParsePrefix(r.prefix)) {
			if nat64.Contains(a) || a.Is4In6() {
				continue // judged by what is inside: TestIPv4InIPv6
			}
			name, want := registered(a)
			if what, not := NotPublic(a); not == want {
				t.Errorf("%s (%s): reachable %t, but NotPublic says %q, %t", a, name, want, what, not)
			}
		}
	}
}

// edges returns the first and the last address of a prefix and their neighbours
// outside.
func edges(p netip.Prefix) []netip.Addr {
	first := p.Masked().Addr()
	bytes := first.AsSlice()
	for i := p.Bits(); i < first.BitLen(); i++ {
		bytes[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	list := []netip.Addr{first, last}
	for _, a := range []netip.Addr{first.Prev(), last.Next()} {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

func TestReasonsForNotBeingPublic(t *testing.T) {
	for _, c := range []struct{ addr, what string }{
		{"169.254.169.254", "link-local"},
		{"10.0.0.1", "private use"},
		{"fd00:ec2::254", "unique local"},
		{"::", "unspecified"},
		{"::ffff:127.0.0.1", "loopback"},
		{"64:ff9b::192.168.0.1", "private use"},
		{"::127.0.0.1", "not global unicast"},
		{"fec0::1", "not global unicast"},
		{"fe80::1%eth0", "address with a zone"},
		{"2606:4700::1%eth0", "address with a zone"},
	} {
		if what, not := NotPublic(netip.MustParseAddr(c.addr)); what != c.what || !not {
			t.Errorf("%s: %q, %t; want %q", c.addr, what, not, c.what)
		}
	}
	if what, not := NotPublic(netip.Addr{}); !not || what != "no address" {
		t.Errorf("no address: %q, %t", what, not)
	}
}

func TestIPv4InIPv6(t *testing.T) {
	for _, r := range iana {
		p := netip.MustParsePrefix(r.prefix)
		if p.Addr().Is6() {
			continue
		}
		for _, a := range edges(p) {
			_, want := NotPublic(a)
			v4 := a.As4()
			for _, front := range [][12]byte{
				{10: 0xff, 11: 0xff},                 // mapped
				{0: 0x00, 1: 0x64, 2: 0xff, 3: 0x9b}, // NAT64
			} {
				var b [16]byte
				copy(b[:], front[:])
				copy(b[12:], v4[:])
				wrapped := netip.AddrFrom16(b)
				if got := Unwrap(wrapped); got != a {
					t.Errorf("Unwrap(%s) = %s", wrapped, got)
				}
				if _, got := NotPublic(wrapped); got != want {
					t.Errorf("%s is judged %t, %s inside %t", wrapped, got, a, want)
				}
			}
		}
	}
	for _, s := range []string{"2606:4700::1", "64:ff9b:1::a00:1", "2002:a00:1::", "::10.0.0.1"} {
		if a := netip.MustParseAddr(s); Unwrap(a) != a {
			t.Errorf("Unwrap(%s) = %s", a, Unwrap(a))
		}
	}
}

// lenient lists where the registries call an address globally reachable and
// code.dny.dev/ssrf, which leaves out whole blocks, does not.
var lenient = []netip.Prefix{
	netip.MustParsePrefix("192.0.0.9/32"),      // anycast services inside 192.0.0.0/24
	netip.MustParsePrefix("192.0.0.10/32"),     //
	netip.MustParsePrefix("192.31.196.0/24"),   // AS112: public name servers
	netip.MustParsePrefix("192.175.48.0/24"),   //
	netip.MustParsePrefix("2620:4f:8000::/48"), //
	netip.MustParsePrefix("192.52.193.0/24"),   // AMT relays
	netip.MustParsePrefix("2001::/23"),         // anycast, AMT, AS112 and identifiers inside
	netip.MustParsePrefix("64:ff9b::/96"),      // the IPv4 address inside is judged instead
	netip.MustParsePrefix("::ffff:0:0/96"),     // as well
}

// Another implementation must agree: nothing that it lets pass is refused here,
// and what it refuses passes only where the difference is known.
func TestSSRFGuardOfOthersAgrees(t *testing.T) {
	guard := ssrf.New(ssrf.WithAnyPort())
	check := func(a netip.Addr) {
		theirs := guard.SafeAddr(a) == nil
		_, not := NotPublic(a)
		switch {
		case theirs && not:
			t.Errorf("%s: refused here only", a)
		case !theirs && !not && !within(a, lenient):
			t.Errorf("%s: passes here only", a)
		}
	}
	for _, r := range iana {
		for _, a := range edges(netip.MustParsePrefix(r.prefix)) {
			check(a)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		check(netip.AddrFrom4([4]byte{byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())}))
		// Half of the IPv6 addresses begin as a row does.
		var b [16]byte
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		if p := netip.MustParsePrefix(iana[rnd.IntN(len(iana))].prefix); p.Addr().Is6() {
			copy(b[:], p.Addr().AsSlice()[:p.Bits()/8])
		}
		check(netip.AddrFrom16(b))
	}
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
