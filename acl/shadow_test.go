package acl

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRulesThatCanNeverDecide(t *testing.T) {
	all := []PortRange{{1, 65535}}
	for what, c := range map[string]struct {
		rules []Rule
		want  []Shadow
	}{
		"none":                 {[]Rule{{To: []string{"a.example"}}, {To: []string{"b.example"}}}, nil},
		"the same again":       {[]Rule{{To: []string{"a.example"}}, {Action: Allow, To: []string{"a.example"}}}, []Shadow{{1, 0}}},
		"a wider network":      {[]Rule{{Clients: []string{"10.0.0.0/8"}}, {Clients: []string{"10.1.0.0/16", "10.2.3.4"}}}, []Shadow{{1, 0}}},
		"partly wider":         {[]Rule{{Clients: []string{"10.0.0.0/8"}}, {Clients: []string{"10.1.0.0/16", "11.0.0.0/16"}}}, nil},
		"any client":           {[]Rule{{}, {Clients: []string{"10.1.0.0/16"}}}, []Shadow{{1, 0}}},
		"any client after":     {[]Rule{{Clients: []string{"0.0.0.0/0", "::/0"}}, {}}, nil},
		"other family":         {[]Rule{{Clients: []string{"0.0.0.0/0"}}, {Clients: []string{"::/0"}}}, nil},
		"subdomains":           {[]Rule{{To: []string{"*.example"}}, {To: []string{"a.example", "*.b.example", ".c.example"}}}, []Shadow{{1, 0}}},
		"the domain itself":    {[]Rule{{To: []string{"*.example"}}, {To: []string{".example"}}}, nil},
		"with the domain":      {[]Rule{{To: []string{".example"}}, {To: []string{"example", "*.example"}}}, []Shadow{{1, 0}}},
		"exact before all":     {[]Rule{{To: []string{"a.example"}}, {To: []string{"*.example"}}}, nil},
		"anywhere":             {[]Rule{{Ports: all}, {To: []string{"a.example", "10.0.0.0/8"}, Ports: []PortRange{{22, 80}}}}, []Shadow{{1, 0}}},
		"anywhere but ports":   {[]Rule{{}, {To: []string{"a.example"}, Ports: []PortRange{{22, 22}}}}, nil},
		"ports of two ranges":  {[]Rule{{Ports: []PortRange{{1, 99}, {200, 299}}}, {Ports: []PortRange{{50, 60}, {250, 250}}}}, []Shadow{{1, 0}}},
		"users first":          {[]Rule{{Users: []string{"a"}}, {}}, nil},
		"users after":          {[]Rule{{}, {Users: []string{"a"}}}, []Shadow{{1, 0}}},
		"more users":           {[]Rule{{Users: []string{"a", "b"}}, {Users: []string{"b"}}}, []Shadow{{1, 0}}},
		"other users":          {[]Rule{{Users: []string{"a", "b"}}, {Users: []string{"b", "c"}}}, nil},
		"the first of several": {[]Rule{{To: []string{"a.example"}}, {To: []string{".example"}}, {To: []string{"a.example"}}}, []Shadow{{2, 0}}},
		"denied, then allowed": {[]Rule{{To: []string{"10.0.0.0/8"}}, {Action: Allow, To: []string{"10.1.0.0/16"}}}, []Shadow{{1, 0}}},
		"denied twice":         {[]Rule{{To: []string{"10.0.0.0/8"}}, {To: []string{"10.1.0.0/16"}}}, []Shadow{{1, 0}}},
		// Of a name that resolves into 10.1.0.0/16 the second rule decides.
		"allowed, then denied":          {[]Rule{{Action: Allow, To: []string{"10.0.0.0/8"}}, {To: []string{"10.1.0.0/16"}}, {Action: Allow}}, nil},
		"allowed anywhere, then denied": {[]Rule{{Action: Allow}, {To: []string{"10.1.0.0/16"}}}, []Shadow{{1, 0}}},
	} {
		if diff := cmp.Diff(c.want, policy(t, c.rules...).Shadowed()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

func TestDenyRulesThatLeavingTheCredentialsAwayEvades(t *testing.T) {
	deny := func(r Rule) Rule { r.Users = []string{"u"}; return r }
	allow := func(r Rule) Rule { r.Action = Allow; return r }
	for what, c := range map[string]struct {
		rules []Rule
		want  []Evasion
	}{
		"allowed to all":             {[]Rule{deny(Rule{}), allow(Rule{})}, []Evasion{{0, 1}}},
		"allowed to users":           {[]Rule{deny(Rule{}), allow(Rule{Users: []string{"u", "v"}})}, nil},
		"allowed ahead":              {[]Rule{allow(Rule{To: []string{"a.test"}}), deny(Rule{}), allow(Rule{Users: []string{"v"}})}, nil},
		"denied to all between":      {[]Rule{deny(Rule{}), {}, allow(Rule{})}, nil},
		"denied to others between":   {[]Rule{deny(Rule{}), {Clients: []string{"10.0.0.0/8"}}, allow(Rule{})}, []Evasion{{0, 2}}},
		"the second allows":          {[]Rule{deny(Rule{To: []string{"a.test"}}), allow(Rule{To: []string{"b.test"}}), allow(Rule{})}, []Evasion{{0, 2}}},
		"other clients":              {[]Rule{deny(Rule{Clients: []string{"10.0.0.0/8"}}), allow(Rule{Clients: []string{"192.0.2.0/24"}})}, nil},
		"some of the clients":        {[]Rule{deny(Rule{Clients: []string{"10.0.0.0/8"}}), allow(Rule{Clients: []string{"10.1.1.1"}})}, []Evasion{{0, 1}}},
		"other ports":                {[]Rule{deny(Rule{Ports: []PortRange{{1, 79}}}), allow(Rule{})}, nil},
		"some of the ports":          {[]Rule{deny(Rule{Ports: []PortRange{{1, 80}}}), allow(Rule{})}, []Evasion{{0, 1}}},
		"other names":                {[]Rule{deny(Rule{To: []string{"*.a.test"}}), allow(Rule{To: []string{"a.test", "*.b.test"}})}, nil},
		"a subdomain":                {[]Rule{deny(Rule{To: []string{".a.test"}}), allow(Rule{To: []string{"x.a.test"}})}, []Evasion{{0, 1}}},
		"a domain above":             {[]Rule{deny(Rule{To: []string{"*.b.a.test"}}), allow(Rule{To: []string{"*.a.test"}})}, []Evasion{{0, 1}}},
		"other ranges":               {[]Rule{deny(Rule{To: []string{"8.8.8.0/24"}}), allow(Rule{To: []string{"8.8.4.0/24"}})}, nil},
		"a range above":              {[]Rule{deny(Rule{To: []string{"8.8.8.0/24"}}), allow(Rule{To: []string{"8.0.0.0/8"}})}, []Evasion{{0, 1}}},
		"names that may be in range": {[]Rule{deny(Rule{To: []string{"8.8.8.0/24"}}), allow(Rule{To: []string{"a.test"}})}, []Evasion{{0, 1}}},
		"a range where a name leads": {[]Rule{deny(Rule{To: []string{"a.test"}}), allow(Rule{To: []string{"8.8.8.0/24"}})}, nil},
		"what allows never decides":  {[]Rule{{Clients: []string{"10.0.0.0/8"}}, deny(Rule{}), allow(Rule{Clients: []string{"10.1.1.1"}})}, nil},
		"denied to all by name":      {[]Rule{deny(Rule{To: []string{"a.test"}}), {To: []string{".a.test"}}, allow(Rule{})}, nil},
	} {
		if diff := cmp.Diff(c.want, policy(t, c.rules...).Evasions()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// Random policies over a small world: Decide and DenyAddr agree with a plain
// reading of the rules for every request there is, and no rule that is called
// shadowed decides any of them.
func TestAllRequestsOfASmallWorld(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	w := newWorld(t)
	shadows, evasions := 0, 0
	for range 200 {
		rules := make([]Rule, 4)
		for i := range rules {
			rules[i] = w.rule(rnd, i)
		}
		p := policy(t, rules...)
		shadowed := p.Shadowed()
		shadows += len(shadowed)
		decided := make([]bool, len(rules))
		for _, r := range w.requests {
			d := p.Decide(r)
			if d.Rule >= 0 {
				decided[d.Rule] = true
			}
			if rule, passes := w.decide(rules, r); d.Rule != rule || d.Passes() != passes {
				t.Fatalf("%+v\n%+v: rule %d, passes: %t; want %d, %t", rules, r, d.Rule, d.Passes(), rule, passes)
			}
			if !d.Passes() || r.Host.IsAddr() {
				continue
			}
			for _, a := range w.resolved {
				i := p.DenyAddr(r, d, a)
				if i < 0 && !d.Observed {
					i = p.ObserveAddr(r, d, a)
				}
				if i >= 0 {
					decided[i] = true
				}
			}
		}
		for d, a := range w.evaded(rules, p) {
			if !slices.ContainsFunc(p.Evasions(), func(e Evasion) bool { return e.Deny == d }) {
				t.Fatalf("%+v\nrule %d is evaded by rule %d without a word", rules, d, a)
			}
			evasions++
		}
		for _, s := range shadowed {
			if decided[s.Rule] {
				t.Fatalf("%+v\nrule %d decides, though %d is said to shadow it", rules, s.Rule, s.By)
			}
		}
	}
	if shadows == 0 || evasions == 0 {
		t.Errorf("%d shadowed and %d evaded rules in all random policies", shadows, evasions)
	}
}

// evaded finds deny rules that deny a user what is allowed to nobody in
// particular by a rule behind them.
func (w *world) evaded(rules []Rule, p *Policy) map[int]int {
	found := make(map[int]int)
	for _, r := range w.requests {
		d := p.Decide(r)
		if d.Rule < 0 || rules[d.Rule].Action == Allow || len(rules[d.Rule].Users) == 0 {
			continue
		}
		r.User = ""
		if without := p.Decide(r); without.Passes() && (without.Rule > d.Rule || without.Observed) {
			found[d.Rule] = without.Rule
		}
	}
	return found
}

type world struct {
	clients, users, to [][]string
	ports              [][]PortRange
	requests           []Request
	resolved           []netip.Addr
}

func newWorld(t *testing.T) *world {
	w := &world{
		clients: [][]string{nil, {"10.0.0.0/8"}, {"10.1.0.0/16"}, {"10.1.1.1", "fd00::/8"}, {"::/0"}},
		users:   [][]string{nil, nil, {"u"}, {"u", "v"}},
		to: [][]string{
			nil, {"a.test"}, {"*.a.test"}, {".a.test"}, {"b.a.test", "203.0.113.7"}, {"203.0.113.0/24"},
			{"64:ff9b::/96"}, {"0.0.0.0/0", "*.test"},
		},
		ports: [][]PortRange{nil, {{443, 443}}, {{1, 100}}, {{1, 65535}}},
	}
	for _, s := range []string{"203.0.113.7", "203.0.113.8", "64:ff9b::203.0.113.7", "64:ff9b::8.8.8.8", "2001:db8::1"} {
		w.resolved = append(w.resolved, netip.MustParseAddr(s))
	}
	for _, client := range []string{"10.1.1.1", "10.1.1.2", "10.2.0.1", "fd00::1", "192.0.2.1"} {
		for _, user := range []string{"", "u", "v", "x"} {
			for _, h := range []string{"a.test", "b.a.test", "c.b.a.test", "test", "xa.test", "203.0.113.7", "203.0.113.8", "64:ff9b::cb00:7107", "64:ff9b::808:808", "2002:cb00:7107::1", "2001:db8::1"} {
				for _, port := range []int{80, 443, 22, 8080} {
					if netip.MustParseAddr(client).Is6() && user == "x" {
						continue
					}
					host := h
					if strings.Contains(h, ":") {
						host = "[" + h + "]"
					}
					w.requests = append(w.requests, request(t, fmt.Sprintf("%s/%s %s:%d", client, user, host, port)))
				}
			}
		}
	}
	return w
}

func (w *world) rule(rnd *rand.Rand, i int) Rule {
	return Rule{
		Name:    fmt.Sprintf("r%d", i),
		Action:  Action(rnd.IntN(2)),
		Mode:    Mode(rnd.IntN(5) / 4),
		Clients: w.clients[rnd.IntN(len(w.clients))],
		Users:   w.users[rnd.IntN(len(w.users))],
		To:      w.to[rnd.IntN(len(w.to))],
		Ports:   w.ports[rnd.IntN(len(w.ports))],
	}
}

// decide reads the rules as their documentation says, one word after the other.
func (w *world) decide(rules []Rule, r Request) (rule int, passes bool) {
	rule = -1
	for i, c := range rules {
		if !w.client(c, r) || !w.user(c, r) || !w.destination(c, r) {
			continue
		}
		if c.Action == Deny && c.Mode == Observe {
			if rule < 0 {
				rule = i
			}
			passes = passes || len(c.Clients)+len(c.Users) > 0
			continue
		}
		if rule < 0 || c.Action == Deny {
			rule = i
		}
		return rule, c.Action == Allow
	}
	for i, c := range rules {
		if c.Action == Allow && c.Mode == Observe && w.client(c, r) && (w.user(c, r) || r.User == "" && len(c.Clients) > 0) {
			if rule < 0 {
				rule = i
			}
			return rule, true
		}
	}
	return rule, passes
}

func (w *world) client(rule Rule, r Request) bool {
	return len(rule.Clients) == 0 || slices.ContainsFunc(rule.Clients, func(s string) bool { return inRange(s, r.Client) })
}

func (w *world) user(rule Rule, r Request) bool {
	return len(rule.Users) == 0 || slices.Contains(rule.Users, r.User)
}

func (w *world) destination(rule Rule, r Request) bool {
	ports := rule.Ports
	if ports == nil {
		ports = []PortRange{{80, 80}, {443, 443}}
	}
	if !slices.ContainsFunc(ports, func(p PortRange) bool { return p.First <= r.Port && r.Port <= p.Last }) {
		return false
	}
	return len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(s string) bool {
		switch h := r.Host.String(); {
		case r.Host.IsAddr():
			return inRange(s, r.Host.Addr()) || rule.Action == Deny && slices.ContainsFunc(StandsFor(nil, r.Host.Addr(), 0), func(a netip.Addr) bool { return inRange(s, a) })
		case strings.HasPrefix(s, "*"):
			return strings.HasSuffix(h, s[1:])
		case strings.HasPrefix(s, "."):
			return strings.HasSuffix(h, s) || h == s[1:]
		default:
			return h == s
		}
	})
}

func inRange(s string, a netip.Addr) bool {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Contains(a)
	}
	one, err := netip.ParseAddr(s)
	return err == nil && one == a
}
