package acl

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"code.dny.dev/ssrf"
)

// differences lists all that passes here and not with code.dny.dev/ssrf, which
// leaves out whole blocks and everything beyond 2000::/3, with the reason.
var differences = []struct{ prefix, why string }{
	{"192.0.0.9/32", "globally reachable in the registry: anycast of the Port Control Protocol, inside 192.0.0.0/24"},
	{"192.0.0.10/32", "globally reachable in the registry: anycast of TURN, inside 192.0.0.0/24"},
	{"192.31.196.0/24", "globally reachable in the registry: AS112, public name servers"},
	{"192.52.193.0/24", "globally reachable in the registry: AMT relays"},
	{"192.175.48.0/24", "globally reachable in the registry: AS112, public name servers"},
	{"2001:1::1/128", "globally reachable in the registry: anycast of the Port Control Protocol, inside 2001::/23"},
	{"2001:1::2/128", "globally reachable in the registry: anycast of TURN, inside 2001::/23"},
	{"2001:1::3/128", "globally reachable in the registry: anycast of DNS-SD registration, inside 2001::/23"},
	{"2001:3::/32", "globally reachable in the registry: AMT relays, inside 2001::/23"},
	{"2001:4:112::/48", "globally reachable in the registry: AS112, inside 2001::/23"},
	{"2001:20::/28", "globally reachable in the registry: ORCHIDv2, inside 2001::/23"},
	{"2001:30::/28", "globally reachable in the registry: drone remote id, inside 2001::/23"},
	{"2620:4f:8000::/48", "globally reachable in the registry: AS112, public name servers"},
	{"64:ff9b::/96", "globally reachable in the registry, if the IPv4 address inside is: it is judged instead"},
	{"::ffff:0:0/96", "it is the IPv4 address inside that is dialled: it is judged instead"},
}

// randomAddrs is how many random addresses of each family are compared.
const randomAddrs = 300_000

// Another implementation must agree: nothing that it lets pass is refused here,
// and what it refuses passes only where the difference is listed. None is listed
// that is none.
func TestSSRFGuardOfOthersAgrees(t *testing.T) {
	guard := ssrf.New(ssrf.WithAnyPort())
	seen := make([]int, len(differences))
	check := func(a netip.Addr) {
		theirs := guard.SafeAddr(a) == nil
		_, not := NotPublic(a)
		switch {
		case theirs && not:
			t.Errorf("%s: refused here only", a)
		case !theirs && !not:
			i := listed(a)
			if i < 0 {
				t.Errorf("%s: passes here only", a)
				return
			}
			seen[i]++
		}
	}
	list := registries(t)
	for _, r := range list {
		for _, a := range edges(r.prefix) {
			check(a)
		}
	}
	for _, d := range differences {
		for _, a := range edges(netip.MustParsePrefix(d.prefix)) {
			check(a)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range randomAddrs {
		check(netip.AddrFrom4([4]byte(randomBytes(rnd, 4))))
		// Most begin as some row does.
		b := randomBytes(rnd, 16)
		if p := list[rnd.IntN(len(list))].prefix; p.Addr().Is6() {
			copy(b, p.Addr().AsSlice()[:p.Bits()/8])
		}
		check(netip.AddrFrom16([16]byte(b)))
	}
	for i, n := range seen {
		if n == 0 {
			t.Errorf("%s: listed as a difference and is none", differences[i].prefix)
		}
	}
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func listed(a netip.Addr) int {
	for i, d := range differences {
		if contains16(netip.MustParsePrefix(d.prefix), a) {
			return i
		}
	}
	return -1
}
