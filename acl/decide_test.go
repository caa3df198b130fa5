package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func policy(t testing.TB, rules ...Rule) *Policy {
	t.Helper()
	for i := range rules {
		if rules[i].Name == "" {
			rules[i].Name = fmt.Sprintf("r%d", i)
		}
	}
	p, err := New(rules, func(name string) ([]string, bool) {
		return []string{"registry.example", "*.cdn.example"}, name == "hub"
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request reads "client[/user] host:port".
func request(t testing.TB, s string) Request {
	t.Helper()
	who, where, _ := strings.Cut(s, " ")
	client, user, _ := strings.Cut(who, "/")
	i := strings.LastIndexByte(where, ':')
	h, err := ParseHost(where[:i])
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	port, err := ParsePort(where[i+1:])
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return Request{Client: netip.MustParseAddr(client), User: user, Host: h, Port: port}
}

func TestWhichRuleDecides(t *testing.T) {
	p := policy(t,
		Rule{Name: "no-tests", To: []string{".test.example"}, Ports: []PortRange{{1, 65535}}},
		Rule{Name: "no-range", To: []string{"203.0.113.0/25", "64:ff9b:0:0:0:0:c633:6400/120"}},
		Rule{Name: "hub", Action: Allow, Clients: []string{"192.0.2.10", "198.51.100.0/24", "2001:db8::/48"}, To: []string{"@hub"}},
		Rule{Name: "names", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"Exact.Example", "*.sub.example", ".both.example", "b\u00fccher.example"}},
		Rule{Name: "addresses", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"203.0.113.0/24", "2001:db8:1::/48", "::ffff:8.8.8.0/120"}},
		Rule{Name: "high", Action: Allow, Clients: []string{"192.0.2.11"}, Ports: []PortRange{{8000, 8099}, {22, 22}}},
		Rule{Name: "staff", Action: Allow, Users: []string{"alice", "bob"}, To: []string{"staff.example"}},
		Rule{Name: "no-staff", To: []string{"staff.example"}},
		Rule{Name: "alice-anywhere", Action: Allow, Clients: []string{"192.0.2.12"}, Users: []string{"alice"}},
	)
	for _, c := range []struct {
		request, rule string // "": none
		action        Action
		needsUser     bool
	}{
		{"192.0.2.10 registry.example:443", "hub", Allow, false},
		{"192.0.2.10 x.cdn.example:80", "hub", Allow, false},
		{"192.0.2.10 cdn.example:80", "", Deny, false},
		{"192.0.2.99 registry.example:443", "", Deny, false},
		{"198.51.100.255 registry.example:443", "hub", Allow, false},
		{"2001:db8:0:ffff::1 registry.example:443", "hub", Allow, false},
		{"2001:db8:1::1 registry.example:443", "", Deny, false},
		{"::ffff:192.0.2.10 registry.example:443", "hub", Allow, false},      // a dual-stack listener's view
		{"::ffff:192.0.2.10%eth0 registry.example:443", "hub", Allow, false}, //
		{"2001:db8::1%eth0 registry.example:443", "hub", Allow, false},       //
		{"192.0.2.10 registry.example:8443", "", Deny, false},                // 80 and 443 unless said
		{"192.0.2.10 registry.example.evil.example:443", "", Deny, false},    //
		{"192.0.2.10 xregistry.example:443", "", Deny, false},                //

		{"192.0.2.1 EXACT.example.:443", "names", Allow, false},
		{"192.0.2.1 sub.example:443", "", Deny, false},
		{"192.0.2.1 a.b.sub.example:443", "names", Allow, false},
		{"192.0.2.1 notsub.example:443", "", Deny, false},
		{"192.0.2.1 both.example:443", "names", Allow, false},
		{"192.0.2.1 a.both.example:443", "names", Allow, false},
		{"192.0.2.1 xn--bcher-kva.example:443", "names", Allow, false},
		{"192.0.2.1 B\u00dcCHER.example:443", "names", Allow, false},

		{"192.0.2.1 203.0.113.200:443", "addresses", Allow, false},
		{"192.0.2.1 [::ffff:203.0.113.200]:443", "addresses", Allow, false},
		{"192.0.2.1 0xcb.0.0x71.200:443", "addresses", Allow, false},
		{"192.0.2.1 8.8.8.8:443", "addresses", Allow, false},
		{"192.0.2.1 [2001:db8:1::1]:443", "addresses", Allow, false},
		{"192.0.2.1 [2001:db8:2::1]:443", "", Deny, false},
		{"192.0.2.1 [64:ff9b::203.0.113.200]:443", "", Deny, false}, // not what the rule allows

		{"192.0.2.1 x.test.example:25", "no-tests", Deny, false},
		{"192.0.2.11 test.example:8000", "no-tests", Deny, false},
		{"192.0.2.1 203.0.113.7:443", "no-range", Deny, false},
		{"192.0.2.1 [64:ff9b::203.0.113.7]:443", "no-range", Deny, false}, // the same host by another name
		{"192.0.2.12/alice [64:ff9b::203.0.113.7]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [64:ff9b:1::203.0.113.7]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [64:ff9b:1:0:cb:71:700::]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [2002:cb00:7107::1]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [2001::34ff:8ef8]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [::203.0.113.7]:443", "no-range", Deny, false},
		{"192.0.2.12/alice [64:ff9b::198.51.100.7]:443", "no-range", Deny, false},

		{"192.0.2.11 anything.example:8000", "high", Allow, false},
		{"192.0.2.11 anything.example:8099", "high", Allow, false},
		{"192.0.2.11 10.0.0.1:22", "high", Allow, false}, // whether it is public is not asked here
		{"192.0.2.11 anything.example:8100", "", Deny, false},
		{"192.0.2.11 anything.example:443", "", Deny, false},

		{"192.0.2.1/alice staff.example:443", "staff", Allow, false},
		{"192.0.2.1/bob staff.example:443", "staff", Allow, false},
		{"192.0.2.1/Alice staff.example:443", "no-staff", Deny, false},
		{"192.0.2.1 staff.example:443", "no-staff", Deny, true},
		{"192.0.2.1 staff.example:22", "", Deny, false},
		{"192.0.2.12 other.example:443", "", Deny, true},
		{"192.0.2.12/alice other.example:443", "alice-anywhere", Allow, false},
		{"192.0.2.12/bob other.example:443", "", Deny, false},
	} {
		r := request(t, c.request)
		d := p.Decide(r)
		name := ""
		if d.Rule >= 0 {
			name = p.Rule(d.Rule).Name
		}
		if name != c.rule || d.Action != c.action || d.NeedsUser != c.needsUser {
			t.Errorf("%s: %s by %q, needs user: %t; want %s by %q, %t", c.request, d.Action, name, d.NeedsUser, c.action, c.rule, c.needsUser)
		}
		same, steps := p.Explain(r)
		if same != d {
			t.Errorf("%s: decided %v, explained %v", c.request, d, same)
		}
		last := steps[len(steps)-1]
		if last.Matched != (d.Rule >= 0) || last.Matched && (last.Rule != name || last.Action != d.Action) {
			t.Errorf("%s: decided by %q, explained by %+v", c.request, name, last)
		}
	}
}

func TestADenialThatCredentialsWouldNotChangeAsksForNone(t *testing.T) {
	deny := Rule{Name: "deny", To: []string{"x.example"}}
	staff := Rule{Name: "staff", Action: Allow, Users: []string{"alice"}}
	denied := Rule{Name: "denied", Users: []string{"alice"}}
	all := Rule{Name: "all", Action: Allow}
	r := request(t, "192.0.2.1 x.example:443")
	for what, c := range map[string]struct {
		rules []Rule
		want  Decision
	}{
		"denied before the user counts": {[]Rule{deny, staff}, Decision{Rule: 0}},
		"denied after":                  {[]Rule{staff, deny}, Decision{Rule: 1, NeedsUser: true}},
		"admitted anyway":               {[]Rule{staff, all}, Decision{Action: Allow, Rule: 1}},
		"only denied to a user":         {[]Rule{denied}, Decision{Rule: -1}},
		"no rule at all":                {nil, Decision{Rule: -1}},
	} {
		if got := policy(t, c.rules...).Decide(r); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

func TestANameDoesNotEvadeADeniedRange(t *testing.T) {
	p := policy(t,
		Rule{Name: "metadata", To: []string{"169.254.169.254", "2001:db8:f::/48"}},
		Rule{Name: "for-some", Clients: []string{"192.0.2.1"}, To: []string{"203.0.113.0/24"}},
		Rule{Name: "for-alice", Users: []string{"alice"}, To: []string{"198.51.100.0/24"}},
		Rule{Name: "https", Ports: []PortRange{{443, 443}}, To: []string{"8.8.8.8", "64:ff9b::/96"}},
		Rule{Name: "names", To: []string{"bad.example"}},
		Rule{Name: "all", Action: Allow, Ports: []PortRange{{1, 65535}}},
		Rule{Name: "too-late", To: []string{"9.9.9.9"}},
	)
	if !p.DeniesAddrs() {
		t.Error("the policy denies addresses")
	}
	for _, c := range []struct{ request, addr, rule string }{
		{"192.0.2.1 a.example:443", "169.254.169.254", "metadata"},
		{"192.0.2.1 a.example:443", "::ffff:169.254.169.254", "metadata"},
		{"192.0.2.1 a.example:443", "2001:db8:f::1", "metadata"},
		{"192.0.2.1 a.example:443", "2001:db8:f::1%eth0", "metadata"},
		{"192.0.2.1 a.example:8443", "169.254.169.254", ""}, // the rule has ports 80 and 443
		{"192.0.2.1 a.example:443", "203.0.113.5", "for-some"},
		{"192.0.2.1 a.example:443", "64:ff9b::203.0.113.5", "for-some"},
		{"192.0.2.2 a.example:443", "203.0.113.5", ""},
		{"192.0.2.2/alice a.example:443", "198.51.100.5", "for-alice"},
		{"192.0.2.2/bob a.example:443", "198.51.100.5", ""},
		{"192.0.2.2 a.example:443", "8.8.8.8", "https"},
		{"192.0.2.2 a.example:80", "8.8.8.8", ""},
		{"192.0.2.2 a.example:443", "64:ff9b::1.1.1.1", "https"}, // the rule names the wrapped form itself
		{"192.0.2.2 a.example:443", "9.9.9.9", ""},
		{"192.0.2.2 a.example:443", "1.1.1.1", ""},
	} {
		r := request(t, c.request)
		d := p.Decide(r)
		if d.Action != Allow {
			t.Fatalf("%s: %+v", c.request, d)
		}
		got := ""
		if i := p.DenyAddr(r, d, netip.MustParseAddr(c.addr)); i >= 0 {
			got = p.Rule(i).Name
		}
		if got != c.rule {
			t.Errorf("%s at %s: denied by %q, want %q", c.request, c.addr, got, c.rule)
		}
	}
}

func TestTheNilPolicyDenies(t *testing.T) {
	var p *Policy
	r := request(t, "192.0.2.1 a.example:443")
	d, steps := p.Explain(r)
	if d != (Decision{Rule: -1}) || steps != nil || p.Elsewhere(r, d) || p.Len() != 0 || p.AdmitsClient(r.Client) || p.WantsUser(r.Client) || p.DeniesAddrs() {
		t.Errorf("%+v, %v", d, steps)
	}
	if i := p.DenyAddr(r, d, netip.MustParseAddr("8.8.8.8")); i != -1 {
		t.Errorf("DenyAddr: %d", i)
	}
	if got, want := p.Sentence(r, d), "no rule lets 192.0.2.1 reach a.example:443"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestARequestWithoutClientOrHostIsDenied(t *testing.T) {
	p := policy(t, Rule{Action: Allow, To: []string{".example"}})
	for what, r := range map[string]Request{
		"no client": {Host: Host{name: "a.example"}, Port: 443},
		"no host":   {Client: netip.MustParseAddr("192.0.2.1"), Port: 443},
		"no port":   {Client: netip.MustParseAddr("192.0.2.1"), Host: Host{name: "a.example"}},
	} {
		if d := p.Decide(r); d.Action != Deny || d.Rule != -1 {
			t.Errorf("%s: %+v", what, d)
		}
	}
	if p.AdmitsClient(netip.Addr{}) {
		t.Error("no client is admitted")
	}
}

func TestSentences(t *testing.T) {
	p := policy(t,
		Rule{Name: "no-bad", To: []string{"bad.example", "::/0"}},
		Rule{Name: "web", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"web.example"}},
		Rule{Name: "ssh", Action: Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"ssh.example"}, Ports: []PortRange{{22, 22}, {8000, 8099}}},
		Rule{Name: "secret", Action: Allow, Clients: []string{"198.51.100.1"}, To: []string{"inside.example"}},
		Rule{Name: "alice-only", Action: Allow, Clients: []string{"203.0.113.1"}, Users: []string{"alice"}, To: []string{"a.example"}},
	)
	for in, want := range map[string]string{
		"192.0.2.7 bad.example:443":           "rule no-bad denies bad.example:443 to 192.0.2.7",
		"::ffff:192.0.2.7 bad.example:443":    "rule no-bad denies bad.example:443 to 192.0.2.7",
		"192.0.2.7/eve BAD.example.:443":      "rule no-bad denies bad.example:443 to eve at 192.0.2.7",
		"2001:db8::7 [2001:db8::1]:443":       "rule no-bad denies [2001:db8::1]:443 to 2001:db8::7",
		"192.0.2.7 web.example:25":            "no rule lets 192.0.2.7 reach web.example:25; rule web admits only port 80, 443 there",
		"192.0.2.7 ssh.example:443":           "no rule lets 192.0.2.7 reach ssh.example:443; rule ssh admits only port 22, 8000-8099 there",
		"192.0.2.7 other.example:443":         "no rule lets 192.0.2.7 reach other.example:443; rule web admits this client, but not to that host",
		"192.0.2.7 inside.example:443":        "no rule lets 192.0.2.7 reach inside.example:443; rule web admits this client, but not to that host",
		"203.0.113.9 inside.example:443":      "no rule lets 203.0.113.9 reach inside.example:443",
		"203.0.113.1/eve a.example:443":       "no rule lets eve at 203.0.113.1 reach a.example:443",
		"203.0.113.1/alice other.example:443": "no rule lets alice at 203.0.113.1 reach other.example:443; rule alice-only admits this client, but not to that host",
	} {
		r := request(t, in)
		d := p.Decide(r)
		if got := p.Sentence(r, d); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
		if got, want := p.Elsewhere(r, d), strings.HasSuffix(want, "but not to that host"); got != want {
			t.Errorf("%s: elsewhere is %t", in, got)
		}
	}
}

func TestExplain(t *testing.T) {
	p := policy(t,
		Rule{Name: "others", Action: Allow, Clients: []string{"198.51.100.0/24"}},
		Rule{Name: "elsewhere", Action: Allow, To: []string{"x.example"}},
		Rule{Name: "ssh", Action: Allow, Ports: []PortRange{{22, 22}}},
		Rule{Name: "staff", Action: Allow, Users: []string{"alice"}},
		Rule{Name: "range", To: []string{"203.0.113.0/24"}},
		Rule{Name: "rest", Action: Deny},
		Rule{Name: "never", Action: Allow},
	)
	_, steps := p.Explain(request(t, "192.0.2.7/eve a.example:443"))
	if diff := cmp.Diff([]Step{
		{"others", Allow, false, "client 192.0.2.7 is not in clients", false},
		{"elsewhere", Allow, false, "a.example is not in to", false},
		{"ssh", Allow, false, "port 443 is not in ports (22)", false},
		{"staff", Allow, false, "user eve is not in users", false},
		{"range", Deny, false, "a.example is not in to", false},
		{"rest", Deny, true, "matches client, destination (anywhere) and port 443", false},
	}, steps); diff != "" {
		t.Error(diff)
	}
	_, steps = p.Explain(request(t, "192.0.2.7 [64:ff9b::203.0.113.1]:443"))
	if diff := cmp.Diff([]Step{
		{"staff", Allow, false, "it asks for a user and the request has none", false},
		{"range", Deny, true, "matches client, destination (64:ff9b::cb00:7101) and port 443", false},
	}, steps[3:]); diff != "" {
		t.Error(diff)
	}
}

func TestWhoMayComeAtAll(t *testing.T) {
	p := policy(t,
		Rule{Clients: []string{"192.0.2.0/24"}},
		Rule{Action: Allow, Clients: []string{"198.51.100.0/24"}, Users: []string{"alice"}, To: []string{"a.example"}},
		Rule{Action: Allow, Clients: []string{"2001:db8::/32"}},
	)
	for client, want := range map[string]struct{ admits, user bool }{
		"192.0.2.1":             {false, false},
		"198.51.100.1":          {true, true},
		"::ffff:198.51.100.1":   {true, true},
		"2001:db8::1":           {true, false},
		"2001:db8::1%eth0":      {true, false},
		"203.0.113.1":           {false, false},
		"::ffff:203.0.113.1%lo": {false, false},
	} {
		a := netip.MustParseAddr(client)
		if p.AdmitsClient(a) != want.admits || p.WantsUser(a) != want.user {
			t.Errorf("%s: admitted %t, user %t; want %+v", client, p.AdmitsClient(a), p.WantsUser(a), want)
		}
	}
}

func TestRulesThatCannotBeCompiled(t *testing.T) {
	ok := Rule{Name: "ok"}
	for _, c := range []struct {
		rule  Rule
		field string
		item  int
		says  string
	}{
		{Rule{}, "name", -1, "the rule has no name"},
		{Rule{Name: "ok"}, "name", -1, `rule "ok" has the name of rule 1: give each its own`},
		{Rule{Name: "x", Clients: []string{"192.0.2.1", "192.0.2.1/24"}}, "clients", 1, `"192.0.2.1/24" has host bits set: write "192.0.2.0/24" for the network or "192.0.2.1" for the one address`},
		{Rule{Name: "x", Clients: []string{"192.0.2.0/33"}}, "clients", 0, `"192.0.2.0/33" is not a CIDR such as 192.0.2.0/24`},
		{Rule{Name: "x", Clients: []string{"example.com"}}, "clients", 0, `"example.com" is not an address or CIDR`},
		{Rule{Name: "x", Clients: []string{"fe80::1%eth0"}}, "clients", 0, `"fe80::1%eth0": a zone is not accepted`},
		{Rule{Name: "x", Clients: []string{"fe80::%eth0/64"}}, "clients", 0, `"fe80::%eth0/64" is not a CIDR such as 192.0.2.0/24`},
		{Rule{Name: "x", Clients: []string{"127.1"}}, "clients", 0, `"127.1" is not an address or CIDR`},
		{Rule{Name: "x", To: []string{"a.example", "2001:db8::1/64"}}, "to", 1, `"2001:db8::1/64" has host bits set: write "2001:db8::/64" for the network or "2001:db8::1" for the one address`},
		{Rule{Name: "x", To: []string{"::ffff:192.0.2.1/120"}}, "to", 0, `"::ffff:192.0.2.1/120" has host bits set: write "192.0.2.0/24" for the network or "192.0.2.1" for the one address`},
		{Rule{Name: "x", To: []string{"@hub", "@nope"}}, "to", 1, `there is no preset "@nope"`},
		{Rule{Name: "x", To: []string{"@broken"}}, "to", 0, `preset "@broken": "a b" is neither a host name, an address, a CIDR nor a @preset`},
		{Rule{Name: "x", To: []string{"a.*.example"}}, "to", 0, `"a.*.example": a wildcard stands only at the front, as in "*.example.com"`},
		{Rule{Name: "x", To: []string{"*"}}, "to", 0, `"*": a wildcard stands only at the front, as in "*.example.com"`},
		{Rule{Name: "x", To: []string{"*."}}, "to", 0, `"*." is neither a host name, an address, a CIDR nor a @preset`},
		{Rule{Name: "x", To: []string{""}}, "to", 0, `"" is neither a host name, an address, a CIDR nor a @preset`},
		{Rule{Name: "x", To: []string{"*.192.0.2.1"}}, "to", 0, `"*.192.0.2.1": an address has no subdomains`},
		{Rule{Name: "x", To: []string{"0x7f.1"}}, "to", 0, `"0x7f.1" is an address in an unusual spelling: write "127.0.0.1"`},
		{Rule{Name: "x", To: []string{"[::1]"}}, "to", 0, `"[::1]" is an address in an unusual spelling: write "::1"`},
		{Rule{Name: "x", To: []string{"example.com:443"}}, "to", 0, `"example.com:443" is neither a host name, an address, a CIDR nor a @preset`},
		{Rule{Name: "x", To: []string{"https://example.com/"}}, "to", 0, `"https://example.com/" is not a CIDR such as 192.0.2.0/24`},
		{Rule{Name: "x", Ports: []PortRange{{0, 80}}}, "ports", -1, "0-80 is not a port or a rising range of ports"},
		{Rule{Name: "x", Ports: []PortRange{{80, 79}}}, "ports", -1, "80-79 is not a port or a rising range of ports"},
	} {
		_, err := New([]Rule{ok, c.rule}, func(name string) ([]string, bool) {
			return map[string][]string{"hub": {"registry.example"}, "broken": {"a b"}}[name], name != "nope"
		})
		var re *RuleError
		if !errors.As(err, &re) {
			t.Errorf("%+v: %v", c.rule, err)
			continue
		}
		if re.Rule != 1 || re.Field != c.field || re.Item != c.item || re.Error() != c.says {
			t.Errorf("%+v:\n got rule %d, %s %d: %s\nwant %s %d: %s", c.rule, re.Rule, re.Field, re.Item, re, c.field, c.item, c.says)
		}
	}
	var pe *PresetError
	if _, err := New([]Rule{{Name: "x", To: []string{"@hub"}}}, nil); !errors.As(err, &pe) || pe.Name != "hub" {
		t.Errorf("without presets: %v", err)
	}
}
