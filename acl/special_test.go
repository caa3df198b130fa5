package acl

import (
	"encoding/csv"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is one row of a registry.
type block struct {
	prefix    netip.Prefix
	name      string
	reachable bool // "Globally Reachable" is True; "N/A" and terminated rows are not
}

// registries reads the rows of both files in testdata.
func registries(t *testing.T) []block {
	t.Helper()
	var list []block
	for _, file := range []string{"iana-special.csv", "iana-space.csv"} {
		f, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r := csv.NewReader(f)
		r.Comment = '#'
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			list = append(list, block{netip.MustParsePrefix(row[0]), row[1], row[5] == "True"})
		}
	}
	return list
}

// registered finds the longest prefix of the registries that contains a.
func registered(list []block, a netip.Addr) block {
	best := block{prefix: netip.PrefixFrom(a, -1)}
	for _, r := range list {
		if r.prefix.Contains(a) && r.prefix.Bits() > best.prefix.Bits() {
			best = r
		}
	}
	return best
}

// Of ::ffff:0:0/96 and 64:ff9b::/96 the IPv4 address inside is judged:
// TestIPv4InIPv6.
func TestPublicIsWhatIANASays(t *testing.T) {
	list := registries(t)
	for _, r := range list {
		for _, a := range edges(r.prefix) {
			if nat64.Contains(a) || a.Is4In6() {
				continue
			}
			want := registered(list, a)
			if what, not := NotPublic(a); not == want.reachable {
				t.Errorf("%s (%s): reachable %t, but NotPublic says %q, %t", a, want.name, want.reachable, what, not)
			}
		}
	}
}

// The table has no opinion of its own: each of its rows is one of a registry.
func TestEveryRowIsInARegistry(t *testing.T) {
	list := registries(t)
	for _, s := range slices.Concat(special4, special6) {
		i := slices.IndexFunc(list, func(r block) bool { return r.prefix == s.prefix })
		if i < 0 || list[i].reachable != s.public {
			t.Errorf("%s (%s, public: %t): not so in any registry", s.prefix, s.what, s.public)
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
		{"168.63.129.16", "agent of Azure's hosts"},
		{"64:ff9b::168.63.129.16", "agent of Azure's hosts"},
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
	for _, r := range registries(t) {
		if r.prefix.Addr().Is6() {
			continue
		}
		for _, a := range edges(r.prefix) {
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

// Ways of putting IPv4 into IPv6 that are never public, and what they stand for.
func TestWhatAnAddressStandsFor(t *testing.T) {
	for _, c := range []struct {
		addr string
		bits int
		want string // in order, with commas
	}{
		{"2606:4700::1", 0, ""}, {"8.8.8.8", 0, ""}, {"::1", 0, ""}, {"::", 0, ""}, {"fe80::5efe:7f00:1", 0, ""},
		{"::ffff:10.0.0.1", 0, "10.0.0.1"},
		{"64:ff9b::10.0.0.1", 0, "10.0.0.1"},
		{"::10.0.0.1", 0, "10.0.0.1"},
		{"::ffff:0:10.0.0.1", 0, "10.0.0.1"}, // IPv4-translated, RFC 2765
		{"2002:a00:1::", 0, "10.0.0.1"},
		{"2002:a9fe:a9fe:1:2:3:4:5", 0, "169.254.169.254"},
		{"2001:0:808:808:0:0:f5ff:fffe", 0, "10.0.0.1"}, // Teredo: the client's address, inverted
		{"64:ff9b:1::10.0.0.1", 0, "10.0.0.1"},
		{"64:ff9b:1:a9fe:a9:fe00::", 0, "169.254.169.254,254.169.254.0,169.254.0.0"},
		{"64:ff9b:1:a9:fe:a9fe::", 0, "169.254.169.254,254.169.254.0"},
		{"64:ff9b:1:0:a9:fea9:fe00:0", 0, "169.254.169.254,254.0.0.0"},
		// A prefix that reaches into the IPv4 address names it on purpose.
		{"64:ff9b:1:fffe::10.0.0.1", 96, "10.0.0.1"}, {"64:ff9b:1:fffe::10.0.0.1", 97, ""},
		{"64:ff9b:1:0:a9:fea9:fe00:0", 64, "169.254.169.254,254.0.0.0"}, {"2002:a00:1::", 16, "10.0.0.1"}, {"2002:a00:1::", 48, ""}, {"::10.0.0.1", 128, ""},
	} {
		var got []string
		for _, a := range StandsFor(nil, netip.MustParseAddr(c.addr), c.bits) {
			got = append(got, a.String())
		}
		if s := strings.Join(got, ","); s != c.want {
			t.Errorf("%s, %d: %q, want %q", c.addr, c.bits, s, c.want)
		}
	}
}
