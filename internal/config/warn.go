package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/acl"
)

// maxShadowRules bounds the search for rules that another one makes void, which
// compares each with all others.
const maxShadowRules = 2000

// warn looks for what is valid but hardly meant. It runs on a valid
// configuration.
func (b *builder) warn() {
	if b.hasFile && len(b.config.Rules) == 0 {
		b.warns.addf(where{}, "add a [[rule]]", "there is no rule, so every request is denied")
	}
	b.warnObserved()
	b.warnPairs()
	for i, r := range b.config.Rules {
		if r.Action == acl.Allow && len(b.config.Policy.Destinations(i)) > 0 {
			b.warnUnreachable(i, r.To)
		}
	}
	b.warnUnused()
}

// warnObserved points out that what is refused is not, lest a trial goes on for ever.
func (b *builder) warnObserved() {
	const fix = "take `mode` out to enforce it"
	if b.config.Mode == acl.Observe {
		b.warns.addf(inFile("mode"), fix, "this proxy is in observe mode: what it would refuse passes")
	}
	for i, r := range b.config.Rules {
		if r.Mode == acl.Observe {
			b.warns.addf(b.part(i, "mode"), fix, "rule %q is in observe mode: what it would refuse passes", r.Name)
		}
	}
}

// warnPairs looks for rules that another one makes void.
func (b *builder) warnPairs() {
	rules := b.config.Rules
	if len(rules) > maxShadowRules {
		b.warns.addf(inFile("rule"), "", "over %d rules: not searched for some that can never decide or are evaded", maxShadowRules)
		return
	}
	for _, e := range b.config.Policy.Evasions() {
		deny, allow := rules[e.Deny].Name, rules[e.Allow].Name
		b.warns.addf(b.from[e.Deny], "let rules behind it that allow ask for users, or deny without users",
			"rule %q does not bind who gives no password: rule %q behind it allows some of the same without one", deny, allow)
	}
	for _, s := range b.config.Policy.Shadowed() {
		rule, by := rules[s.Rule].Name, rules[s.By].Name
		b.warns.addf(b.from[s.Rule], "take it out, or put it before that one",
			"rule %q can never decide: rule %q before it is for all the same requests, and more or as many", rule, by)
	}
}

// warnUnreachable points out destinations that the rule admits and the egress
// guard refuses all the same; just the first, for a list may be long.
func (b *builder) warnUnreachable(rule int, to []string) {
	first, count, what := -1, 0, ""
	for i, s := range to {
		p, err := acl.ParsePrefix(s)
		if err != nil {
			continue // a name or a preset
		}
		why, private := acl.NotPublic(p.Addr())
		if private && !isPublic(p) && !slices.ContainsFunc(b.config.Egress.AllowPrivate, p.Overlaps) {
			if count++; first < 0 {
				first, what = i, why
			}
		}
	}
	if first < 0 {
		return
	}
	others := ""
	switch {
	case count == 2:
		others = ", as will another one here"
	case count > 2:
		others = fmt.Sprintf(", as will %d others here", count-1)
	}
	fix := fmt.Sprintf("add %q to allow_private in [egress] if it is meant to be reached", to[first])
	if b.from[rule].flag != "" {
		fix = "add --allow-private " + to[first] + " if it is meant to be reached"
	}
	b.warns.addf(b.part(rule, "to", first), fix, "%s is not public (%s) and will be refused all the same%s", to[first], what, others)
}

func (b *builder) warnUnused() {
	used := make(map[string]bool)
	for _, r := range b.config.Rules {
		for _, u := range r.Users {
			used[u] = true
		}
	}
	for i, u := range b.config.Users {
		if !used[u.Name] {
			b.warns.addf(inFile("user", i), "name the user in a rule, or take the entry out", "user %q is in no rule", u.Name)
		}
	}
}

// warnPrivate points out that a range lets clients reach this very machine, or
// what clouds serve to it alone.
func (b *builder) warnPrivate(p netip.Prefix, at where) {
	local := []struct{ prefix, what string }{
		{"127.0.0.0/8", "services of this machine that listen on loopback"},
		{"::1/128", "services of this machine that listen on loopback"},
		{"169.254.169.254/32", "the cloud's metadata service, with this machine's credentials"},
		{"168.63.129.16/32", "the cloud's metadata service, with this machine's credentials"},
		{"fd00:ec2::254/128", "the cloud's metadata service, with this machine's credentials"},
	}
	var reach []string
	for _, l := range local {
		if p.Overlaps(netip.MustParsePrefix(l.prefix)) && !slices.Contains(reach, l.what) {
			reach = append(reach, l.what)
		}
	}
	if len(reach) > 0 {
		b.warns.addf(at, "", "%s lets clients reach %s", p, strings.Join(reach, " and "))
	}
}
