package sections

import (
	"fmt"
	"net/netip"
	"slices"

	"sluice/acl"
)

// maxShadowRules bounds the search for rules that another one makes void, which
// compares each with all others.
const maxShadowRules = 2000

// Warn looks for rules that are valid but hardly meant. It runs on a valid
// configuration, of which p is the policy and allowed the non-public addresses that may
// be dialled.
func (rs *Rules) Warn(p *acl.Policy, allowed []netip.Prefix) {
	rs.warnObserved()
	rs.warnPairs(p)
	for i, r := range rs.list {
		if r.Action == acl.Allow && len(p.Destinations(i)) > 0 {
			rs.warnUnreachable(i, r.To, allowed)
		}
	}
}

// FixObserved is what to write where something is in observe mode.
const FixObserved = "take `mode` out to enforce it"

// warnObserved points out that what is refused is not, lest a trial goes on for ever.
func (rs *Rules) warnObserved() {
	for i, r := range rs.list {
		if r.Mode == acl.Observe {
			rs.Report.Warnings.Addf(rs.Part(i, "mode"), FixObserved, "rule %q is in observe mode: what it would refuse passes", r.Name)
		}
	}
}

// warnPairs looks for rules that another one makes void.
func (rs *Rules) warnPairs(p *acl.Policy) {
	rules, warnings := rs.list, &rs.Report.Warnings
	if len(rules) > maxShadowRules {
		warnings.Addf(rs.At, "", "over %d rules: not searched for some that can never decide or are evaded", maxShadowRules)
		return
	}
	for _, e := range p.Evasions() {
		deny, allow := rules[e.Deny].Name, rules[e.Allow].Name
		warnings.Addf(rs.from[e.Deny], "let rules behind it that allow ask for users, or deny without users",
			"rule %q does not bind who gives no password: rule %q behind it allows some of the same without one", deny, allow)
	}
	for _, s := range p.Shadowed() {
		rule, by := rules[s.Rule].Name, rules[s.By].Name
		warnings.Addf(rs.from[s.Rule], "take it out, or put it before that one",
			"rule %q can never decide: rule %q before it is for all the same requests, and more or as many", rule, by)
	}
}

// warnUnreachable points out destinations that the rule admits and the egress
// guard refuses all the same; just the first, for a list may be long.
func (rs *Rules) warnUnreachable(rule int, to []string, allowed []netip.Prefix) {
	first, count, what := -1, 0, ""
	for i, s := range to {
		p, err := acl.ParsePrefix(s)
		if err != nil {
			continue // a name or a preset
		}
		why, private := acl.NotPublic(p.Addr())
		if private && !isPublic(p) && !slices.ContainsFunc(allowed, p.Overlaps) {
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
	if rs.from[rule].Flag != "" {
		fix = "add --allow-private " + to[first] + " if it is meant to be reached"
	}
	rs.Report.Warnings.Addf(rs.Part(rule, "to", first), fix, "%s is not public (%s) and will be refused all the same%s", to[first], what, others)
}
