package config

import (
	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// warn looks for what is valid but hardly meant. It runs on a valid
// configuration.
func (b *builder) warn() {
	warnings := &b.report.Warnings
	if b.hasFile && len(b.config.Rules) == 0 {
		warnings.Addf(strict.Where{}, "add a [[rule]]", "there is no rule, so every request is denied")
	}
	if b.config.Mode == acl.Observe {
		warnings.Addf(strict.InFile("mode"), sections.FixObserved, "this proxy is in observe mode: what it would refuse passes")
	}
	b.rules.Warn(b.config.Policy, b.config.Egress.AllowPrivate)
	b.warnUnused()
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
			b.report.Warnings.Addf(strict.InFile("user", i), "name the user in a rule, or take the entry out", "user %q is in no rule", u.Name)
		}
	}
}
