package acl

import (
	"fmt"
	"net/netip"
	"testing"
)

// large returns a policy of one deny rule over many names, and one allow rule
// over many client ranges.
func large(tb testing.TB, cidrs, names int) *Policy {
	clients := make([]string, cidrs)
	for i := range clients {
		// 10.0.0.0/24, 10.0.1.0/24, … and on into 11.0.0.0/8.
		n := uint32(10)<<24 + uint32(i)<<8
		clients[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 0}), 24).String()
	}
	to := make([]string, names)
	for i := range to {
		to[i] = fmt.Sprintf("%shost%d.example", []string{"", "*.", "."}[i%3], i)
	}
	return policy(tb,
		Rule{Name: "bad", To: append(to, "203.0.113.0/24")},
		Rule{Name: "users", Action: Allow, Users: []string{"alice"}, To: []string{"*.staff.example"}},
		Rule{Name: "good", Action: Allow, Clients: clients},
	)
}

func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ cidrs, names int }{{1000, 1000}, {100_000, 1_000_000}} {
		p := large(b, size.cidrs, size.names)
		for _, c := range []struct{ what, request string }{
			{"name", "10.0.7.7 deep.down.under.some.example:443"},
			{"denied", "10.0.7.7 a.b.host1.example:443"},
			{"address", "10.0.7.7 8.8.8.8:443"},
			{"nobody", "192.0.2.1 a.example:443"},
		} {
			r := request(b, c.request)
			b.Run(fmt.Sprintf("%dcidrs/%dnames/%s", size.cidrs, size.names, c.what), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.Decide(r)
				}
			})
		}
	}
}

func BenchmarkParseHost(b *testing.B) {
	for _, s := range []string{"registry-1.docker.io", "Registry-1.Docker.IO.", "203.0.113.7", "2001:db8::1"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseHost(s)
			}
		})
	}
}

func BenchmarkNotPublic(b *testing.B) {
	for _, s := range []string{"104.18.122.25", "2606:4700::1", "64:ff9b::104.18.122.25"} {
		a := netip.MustParseAddr(s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NotPublic(a)
			}
		})
	}
}

func TestADecisionAllocatesNothing(t *testing.T) {
	p := large(t, 1000, 1000)
	for _, s := range []string{
		"10.0.7.7 a.b.host1.example:443", "10.0.7.7 example.com:443", "::ffff:10.0.7.7 [2001:db8::1]:443",
		"10.0.7.7/alice a.staff.example:443", "10.0.7.7 [64:ff9b::203.0.113.7]:443", "192.0.2.1 a.example:22",
	} {
		r := request(t, s)
		resolved := netip.MustParseAddr("64:ff9b::8.8.8.8")
		if n := testing.AllocsPerRun(100, func() {
			d := p.Decide(r)
			p.DenyAddr(r, d, resolved)
			p.AdmitsClient(r.Client)
			p.WantsUser(r.Client)
			NotPublic(resolved)
		}); n != 0 {
			t.Errorf("%s: %g allocations", s, n)
		}
	}
}
