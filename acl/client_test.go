package acl

import (
	"net/netip"
	"testing"
)

func TestWhoIsNamedIsNoStranger(t *testing.T) {
	client := []string{"192.0.2.7"}
	all := []PortRange{{1, 65535}}
	allow := func(r Rule) Rule { r.Name, r.Action = "allow", Allow; return r }
	deny := func(r Rule) Rule { r.Name = "deny"; return r }
	for name, x := range map[string]struct {
		rules []Rule
		rule  int // -1: a stranger
	}{
		"no rule":                         {nil, -1},
		"its address":                     {[]Rule{allow(Rule{Clients: client})}, 0},
		"its network":                     {[]Rule{allow(Rule{Clients: []string{"192.0.2.0/24"}})}, 0},
		"another's address":               {[]Rule{allow(Rule{Clients: []string{"192.0.2.8"}})}, -1},
		"everybody":                       {[]Rule{allow(Rule{Clients: []string{"0.0.0.0/0"}})}, 0},
		"users anywhere":                  {[]Rule{allow(Rule{Users: []string{"ann"}})}, -1},
		"users of the whole Internet":     {[]Rule{allow(Rule{Users: []string{"ann"}, Clients: []string{"0.0.0.0/0", "::/0"}})}, -1},
		"users at its address":            {[]Rule{allow(Rule{Users: []string{"ann"}, Clients: client})}, 0},
		"a deny rule alone":               {[]Rule{deny(Rule{Clients: client})}, -1},
		"behind one that denies all":      {[]Rule{deny(Rule{Clients: client}), allow(Rule{Clients: client})}, -1},
		"behind one for other ports":      {[]Rule{deny(Rule{Ports: []PortRange{{25, 25}}}), allow(Rule{Clients: client})}, 1},
		"behind one for some ports":       {[]Rule{deny(Rule{Clients: client}), allow(Rule{Clients: client, Ports: all})}, 1},
		"behind one for some destination": {[]Rule{deny(Rule{To: []string{"example.com"}}), allow(Rule{Clients: client})}, 1},
		"behind one for some user":        {[]Rule{deny(Rule{Users: []string{"ann"}}), allow(Rule{Clients: client})}, 1},
		"behind one for others":           {[]Rule{deny(Rule{Clients: []string{"192.0.2.8"}}), allow(Rule{Clients: client})}, 1},
		"ahead of one that denies all":    {[]Rule{allow(Rule{Clients: client}), deny(Rule{})}, 0},
		"behind one that only observes":   {[]Rule{deny(Rule{Mode: Observe}), allow(Rule{Clients: client})}, 1},
		"one that observes it":            {[]Rule{deny(Rule{Mode: Observe, Clients: client})}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(withNames(x.rules), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []string{"192.0.2.7", "::ffff:192.0.2.7"} {
				rule, ok := p.Admits(netip.MustParseAddr(a))
				if rule != x.rule || ok != (x.rule >= 0) {
					t.Errorf("%s: rule %d, %v; want rule %d", a, rule, ok, x.rule)
				}
			}
			if _, ok := p.Admits(netip.Addr{}); ok {
				t.Error("no address is admitted")
			}
			if _, ok := p.Observing(true).Admits(netip.MustParseAddr("203.0.113.1")); !ok {
				t.Error("in observe mode for everybody somebody is a stranger")
			}
		})
	}
	if _, ok := (*Policy)(nil).Admits(netip.MustParseAddr("127.0.0.1")); ok {
		t.Error("no policy admits somebody")
	}
}

func withNames(rules []Rule) []Rule {
	for i := range rules {
		rules[i].Name += string(rune('a' + i))
	}
	return rules
}

func TestAClientIsShownItsOwnRulesOnly(t *testing.T) {
	p, err := New([]Rule{
		{Name: "mine", Action: Allow, Clients: []string{"192.0.2.0/24", "198.51.100.1"}},
		{Name: "theirs", Action: Allow, Clients: []string{"198.51.100.0/24"}},
		{Name: "nobody-in-particular", Action: Allow, Users: []string{"ann"}},
		{Name: "with-password", Action: Allow, Users: []string{"ann"}, Clients: []string{"192.0.2.7"}, Ports: []PortRange{{22, 22}}},
		{Name: "no-mail", Ports: []PortRange{{25, 25}}, Mode: Observe},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range p.For(netip.MustParseAddr("192.0.2.7")) {
		got = append(got, v.Rule.Name)
		if len(v.Ports) == 0 || v.Observed != (v.Rule.Name == "no-mail") {
			t.Errorf("%+v", v)
		}
	}
	if len(got) != 3 || got[0] != "mine" || got[1] != "with-password" || got[2] != "no-mail" {
		t.Errorf("shown %q", got)
	}
}
