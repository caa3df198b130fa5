package acl

import (
	"encoding/binary"
	"net/netip"
)

// special is one row of IANA's registries of special-purpose addresses
// (RFC 6890), of the multicast space, or of space that is not for unicast use.
type special struct {
	prefix netip.Prefix
	public bool   // "globally reachable" in the registry
	what   string // the registry's own name for it
}

func row(prefix, what string, public bool) special {
	return special{netip.MustParsePrefix(prefix), public, what}
}

// The registries as of 2026-11:
// https://www.iana.org/assignments/iana-ipv4-special-registry and
// https://www.iana.org/assignments/iana-ipv6-special-registry. Rows marked
// "N/A" there (6to4, Teredo, 6to4 relay anycast) count as not reachable. The
// longest prefix decides; the last row of each family is its default.
var special4 = []special{
	row("192.0.0.9/32", "Port Control Protocol anycast", true),
	row("192.0.0.10/32", "TURN anycast", true),
	row("255.255.255.255/32", "limited broadcast", false),
	row("192.0.0.0/24", "IETF protocol assignments", false),
	row("192.0.2.0/24", "documentation", false),
	row("192.88.99.0/24", "deprecated 6to4 relay anycast", false),
	row("198.51.100.0/24", "documentation", false),
	row("203.0.113.0/24", "documentation", false),
	row("169.254.0.0/16", "link-local", false),
	row("192.168.0.0/16", "private use", false),
	row("198.18.0.0/15", "benchmarking", false),
	row("172.16.0.0/12", "private use", false),
	row("100.64.0.0/10", "shared address space", false),
	row("0.0.0.0/8", "this network", false),
	row("10.0.0.0/8", "private use", false),
	row("127.0.0.0/8", "loopback", false),
	row("224.0.0.0/4", "multicast", false),
	row("240.0.0.0/4", "reserved", false),
	row("0.0.0.0/0", "", true),
}

var special6 = []special{
	row("::/128", "unspecified", false),
	row("::1/128", "loopback", false),
	row("2001:1::1/128", "Port Control Protocol anycast", true),
	row("2001:1::2/128", "TURN anycast", true),
	row("2001:1::3/128", "DNS-SD SRP anycast", true),
	row("64:ff9b::/96", "IPv4-IPv6 translation", true), // its IPv4 part is judged as well
	row("::ffff:0:0/96", "IPv4-mapped", false),
	row("100::/64", "discard-only", false),
	row("100:0:0:1::/64", "dummy prefix", false),
	row("64:ff9b:1::/48", "local-use IPv4-IPv6 translation", false),
	row("2001:2::/48", "benchmarking", false),
	row("2001:4:112::/48", "AS112", true),
	row("2620:4f:8000::/48", "AS112", true),
	row("2001::/32", "Teredo", false),
	row("2001:3::/32", "AMT", true),
	row("2001:db8::/32", "documentation", false),
	row("2001:10::/28", "deprecated ORCHID", false),
	row("2001:20::/28", "ORCHIDv2", true),
	row("2001:30::/28", "drone remote id", true),
	row("2001::/23", "IETF protocol assignments", false),
	row("3fff::/20", "documentation", false),
	row("2002::/16", "6to4", false),
	row("5f00::/16", "segment routing SIDs", false),
	row("fe80::/10", "link-local", false),
	row("fc00::/7", "unique local", false),
	row("ff00::/8", "multicast", false),
	row("2000::/3", "", true),
	row("::/0", "not global unicast", false),
}

// azureHost is the agent of the host beneath each virtual machine of Azure, at an
// address of the public space that leads nowhere else. It hands out settings and
// certificates to whoever asks from the machine, as 169.254.169.254 does.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var azureHost = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// NotPublic tells why an address must not be dialled from a proxy that serves
// the public Internet only: it returns the registry's name for its range and
// true, or "" and false for an address that is globally reachable. IPv4 inside
// IPv6 (mapped, NAT64) is judged as IPv4. An address with a zone is link-local
// by nature and not public.
func NotPublic(a netip.Addr) (what string, notPublic bool) {
	if !a.IsValid() {
		return "no address", true
	}
	if a.Zone() != "" {
		return "address with a zone", true
	}
	table := special6
	if a = Unwrap(a); a.Is4() {
		table = special4
	}
	if a == azureHost {
		return "agent of Azure's hosts", true
	}
	for _, s := range table {
		if s.prefix.Contains(a) {
			return s.what, !s.public
		}
	}
	return "", false
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1

// embedding is a way of putting an IPv4 address into an IPv6 one.
type embedding struct {
	prefix netip.Prefix
	at     int    // bits before the IPv4 address, as the prefix length of RFC 6052, section 2.2
	bytes  [4]int // where its bytes are
	xor    byte
}

var last4 = [4]int{12, 13, 14, 15}

// embeddings has all that are in use or were. In the prefix for local use each
// site takes a prefix of its own, of one of the lengths of RFC 6052; bits 64 to 71
// are skipped there.
var embeddings = []embedding{
	{netip.MustParsePrefix("::/96"), 96, last4, 0},                  // IPv4-compatible, RFC 4291, section 2.5.5.1
	{netip.MustParsePrefix("::ffff:0:0/96"), 96, last4, 0},          // IPv4-mapped, RFC 4291, section 2.5.5.2
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 96, last4, 0},        // IPv4-translated, RFC 2765, section 2.1
	{nat64, 96, last4, 0},                                           //
	{netip.MustParsePrefix("2002::/16"), 16, [4]int{2, 3, 4, 5}, 0}, // 6to4, RFC 3056, section 2
	{netip.MustParsePrefix("2001::/32"), 96, last4, 0xff},           // Teredo, RFC 4380, section 4: the client's
	{local64, 48, [4]int{6, 7, 9, 10}, 0},
	{local64, 56, [4]int{7, 9, 10, 11}, 0},
	{local64, 64, [4]int{9, 10, 11, 12}, 0},
	{local64, 96, last4, 0},
}

var local64 = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215

// StandsFor appends to list the IPv4 addresses that packets to an IPv6 address may
// end up at, if it is of a kind that has one inside: at most four, for the prefix
// of RFC 8215, whose layout only its site knows. An address of 0.0.0.0/8 is none.
// One that begins within the first bits of the address does not count: whoever
// wrote a prefix of that length has named it.
func StandsFor(list []netip.Addr, a netip.Addr, bits int) []netip.Addr {
	if a.Is4() {
		return list
	}
	b := a.As16()
	for _, e := range embeddings {
		if bits > e.at || !contains16(e.prefix, a) {
			continue
		}
		var v4 [4]byte
		for i, at := range e.bytes {
			v4[i] = b[at] ^ e.xor
		}
		if v4[0] != 0 {
			list = append(list, netip.AddrFrom4(v4))
		}
	}
	return list
}

// contains16 is Contains that takes an IPv4-mapped address for the IPv6 address
// that it is.
func contains16(p netip.Prefix, a netip.Addr) bool {
	q, err := a.Prefix(p.Bits())
	return err == nil && q.Addr() == p.Addr()
}

// Unwrap returns the IPv4 address that is really reached through an
// IPv4-mapped (RFC 4291, section 2.5.5.2) or NAT64 address, else the address
// itself. 6to4 and Teredo are not unwrapped, for they are never public.
func Unwrap(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		var v4 [4]byte
		binary.BigEndian.PutUint32(v4[:], binary.BigEndian.Uint32(b[12:]))
		return netip.AddrFrom4(v4)
	}
	return a
}
