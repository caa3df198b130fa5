package acl

import (
	"net/netip"
	"testing"
)

// verdict reads a decision as a test has it: "observe by RULE under RULE", with "-"
// for no rule; limits are told only of what passes.
func verdict(p *Policy, d Decision) string {
	name := func(i int) string {
		if i < 0 {
			return "-"
		}
		return p.Rule(i).Name
	}
	s := d.String() + " by " + name(d.Rule)
	if d.Passes() {
		s += " under " + name(d.Under())
	}
	return s
}

func TestWhatAPolicyInObserveModeLetsPass(t *testing.T) {
	p := policy(t,
		Rule{Name: "no-ads", To: []string{".ads.example"}},
		Rule{Name: "hub", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"@hub", "x.ads.example"}},
		Rule{Name: "staff", Action: Allow, Users: []string{"ann"}, To: []string{"staff.example"}},
		Rule{Name: "desk", Action: Allow, Clients: []string{"198.51.100.0/24"}, Users: []string{"ann"}},
	)
	for _, c := range []struct{ request, want, open string }{
		{"192.0.2.1 registry.example:443", "allow by hub under hub", ""},
		{"192.0.2.1 x.ads.example:443", "observe by no-ads under hub", ""},
		{"192.0.2.1 y.ads.example:443", "observe by no-ads under -", ""},
		{"192.0.2.1 elsewhere.example:22", "observe by - under -", ""},
		{"192.0.2.1/bob elsewhere.example:22", "observe by - under -", ""},
		{"198.51.100.1 elsewhere.example:443", "observe by - under -", ""}, // for want of a user
		// Whom no rule names, by address or as a user, is let in by no accident.
		{"203.0.113.1 registry.example:443", "deny by -", "observe by - under -"},
		{"203.0.113.1 y.ads.example:443", "deny by no-ads", "observe by no-ads under -"},
		{"203.0.113.1 staff.example:443", "deny by -", "observe by - under -"},
		{"203.0.113.1/bob staff.example:443", "deny by -", "observe by - under -"},
		{"203.0.113.1/ann staff.example:443", "allow by staff under staff", ""},
		{"203.0.113.1/ann elsewhere.example:443", "observe by - under -", ""},
	} {
		r := request(t, c.request)
		if got := verdict(p, p.Observing(false).Decide(r)); got != c.want {
			t.Errorf("%s: %s, want %s", c.request, got, c.want)
		}
		want := c.open
		if want == "" {
			want = c.want
		}
		if got := verdict(p, p.Observing(true).Decide(r)); got != want {
			t.Errorf("%s, open: %s, want %s", c.request, got, want)
		}
		if enforced := p.Decide(r); enforced.Observed || enforced.Action != p.Observing(false).Decide(r).Action {
			t.Errorf("%s: enforced it is %v", c.request, enforced)
		}
	}
	stranger := netip.MustParseAddr("203.0.113.1")
	lab := policy(t, Rule{Action: Allow, Clients: []string{"192.0.2.0/24"}})
	if lab.Observing(false).AdmitsClient(stranger) || !lab.Observing(true).AdmitsClient(stranger) {
		t.Error("a stranger is expected, or not where everybody is meant")
	}
}

func TestWhatARuleInObserveModeLetsPass(t *testing.T) {
	p := policy(t,
		Rule{Name: "no-mail", Mode: Observe, Ports: []PortRange{{25, 25}}},
		Rule{Name: "no-ads", Mode: Observe, Clients: []string{"192.0.2.0/24"}, To: []string{".ads.example"}},
		Rule{Name: "not-ever", To: []string{"never.example", "never.ads.example"}, Ports: []PortRange{{1, 65535}}},
		Rule{Name: "tried", Action: Allow, Mode: Observe, Clients: []string{"192.0.2.128/25"}, Users: []string{"ann"}, To: []string{"a.example"}},
		Rule{Name: "staff", Action: Allow, Mode: Observe, Users: []string{"ann"}, To: []string{"staff.example"}},
		Rule{Name: "all", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"b.example", "b.ads.example"}, Ports: []PortRange{{443, 443}, {25, 25}}},
	)
	for _, c := range []struct{ request, want string }{
		// A rule that denies is passed over: who could go there without it, goes there.
		{"192.0.2.1 b.example:25", "observe by no-mail under all"},
		{"192.0.2.1 b.ads.example:443", "observe by no-ads under all"},
		// Its own clients go there even if nothing else lets them,
		{"192.0.2.1 c.ads.example:443", "observe by no-ads under -"},
		// but not whom it does not name, nor anybody if it is for all.
		{"203.0.113.1 c.ads.example:443", "deny by -"},
		{"192.0.2.1 c.example:25", "deny by no-mail"},
		{"203.0.113.1 b.example:25", "deny by no-mail"},
		// What a rule that is enforced denies stays denied, ahead and behind.
		{"192.0.2.1 never.ads.example:443", "deny by not-ever"},
		{"192.0.2.1 never.example:25", "deny by not-ever"},
		{"192.0.2.200/ann never.example:443", "deny by not-ever"},
		// Of a rule that allows all requests of its clients and users pass,
		{"192.0.2.200/ann a.example:443", "allow by tried under tried"},
		{"192.0.2.200/ann elsewhere.example:22", "observe by tried under tried"},
		{"192.0.2.200/ann b.example:443", "allow by all under all"},
		{"192.0.2.200/ann c.example:25", "observe by no-mail under tried"},
		// those without credentials too, if it names the clients,
		{"192.0.2.200 elsewhere.example:22", "observe by tried under tried"},
		{"203.0.113.1/ann elsewhere.example:22", "observe by staff under staff"},
		// and nobody else's.
		{"203.0.113.1 staff.example:443", "deny by -"},
		{"192.0.2.200/bob elsewhere.example:22", "deny by -"},
		{"192.0.2.1 elsewhere.example:443", "deny by -"},
	} {
		r := request(t, c.request)
		d := p.Decide(r)
		if got := verdict(p, d); got != c.want {
			t.Errorf("%s: %s, want %s", c.request, got, c.want)
		}
		if same, _ := p.Explain(r); same != d {
			t.Errorf("%s: decided %v, explained %v", c.request, d, same)
		}
	}
	for client, want := range map[string]bool{"192.0.2.1": true, "203.0.113.1": true} { // with ann's password
		if p.AdmitsClient(netip.MustParseAddr(client)) != want {
			t.Errorf("%s: not %t", client, want)
		}
	}
}

func TestWhatWouldHaveBeenSaid(t *testing.T) {
	p := policy(t,
		Rule{Name: "no-ads", Mode: Observe, Clients: []string{"192.0.2.0/24"}, To: []string{".ads.example"}},
		Rule{Name: "tried", Action: Allow, Mode: Observe, Clients: []string{"192.0.2.0/24"}, To: []string{"a.example"}},
	)
	for in, want := range map[string]string{
		"192.0.2.1 x.ads.example:443": "rule no-ads denies x.ads.example:443 to 192.0.2.1",
		"192.0.2.1 b.example:443":     "no rule lets 192.0.2.1 reach b.example:443; rule tried admits this client, but not to that host",
		"192.0.2.1 a.example:22":      "no rule lets 192.0.2.1 reach a.example:22; rule tried admits only port 80, 443 there",
	} {
		r := request(t, in)
		if got := p.Sentence(r, p.Decide(r)); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// A name that resolves into a denied range passes under observation, unless a rule
// that is enforced denies the range, wherever it stands among those that did not
// match the name.
func TestObservedAddressesOfAName(t *testing.T) {
	one, two, three := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.129"), netip.MustParseAddr("8.8.8.8")
	p := policy(t,
		Rule{Name: "trial", Mode: Observe, To: []string{"203.0.113.0/24"}},
		Rule{Name: "tried", Action: Allow, Mode: Observe, Clients: []string{"192.0.2.0/24"}, To: []string{"a.example"}},
		Rule{Name: "denied", To: []string{"203.0.113.128/25"}},
	)
	for _, c := range []struct {
		policy           *Policy
		request          string
		resolved         netip.Addr
		denies, observes int
	}{
		{p, "192.0.2.1 a.example:443", one, -1, 0},
		{p, "192.0.2.1 a.example:443", two, -1, 0}, // allowed ahead of what denies
		{p, "192.0.2.1 b.example:443", one, -1, 0},
		{p, "192.0.2.1 b.example:443", two, 2, 0},
		{p, "192.0.2.1 b.example:443", three, -1, -1},
		{p.Observing(false), "192.0.2.1 b.example:443", two, -1, 0},
		{p.Observing(false), "192.0.2.1 a.example:443", three, -1, -1},
	} {
		r := request(t, c.request)
		d := c.policy.Decide(r)
		if !d.Passes() {
			t.Fatalf("%s does not pass", c.request)
		}
		if denies, observes := c.policy.DenyAddr(r, d, c.resolved), c.policy.ObserveAddr(r, d, c.resolved); denies != c.denies || observes != c.observes {
			t.Errorf("%s at %s: %d and %d, want %d and %d", c.request, c.resolved, denies, observes, c.denies, c.observes)
		}
	}
}
