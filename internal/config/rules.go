package config

import (
	"slices"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// takeRules takes the flags' rule, then the file's, or the loopback rule if there is
// neither file nor flag, and compiles them.
func (b *builder) takeRules(p Presets) {
	b.rules = sections.Rules{
		Report: &b.report, At: strict.InFile("rule"), Presets: p,
		Open: b.config.Open, Mode: b.config.Mode, Program: "proxy", User: b.unknownUser,
	}
	b.ruleOfFlags()
	for i, r := range b.file.Rule {
		b.rules.AddTable(strict.InFile("rule", i), r)
	}
	if !b.hasFile && len(b.flags.Allow) == 0 {
		b.rules.AddLoopback()
	}
	b.config.Policy = b.rules.Compile()
	b.config.Rules = b.rules.List()
}

func (b *builder) ruleOfFlags() {
	f := b.flags
	if len(f.Allow) == 0 {
		if len(f.To) > 0 {
			b.report.Errors.Addf(strict.OnFlag("--to"), "add --allow with the clients that may go there", "destinations without clients make no rule")
		}
		return
	}
	rate := b.rateFlag()
	b.rules.Add(strict.OnFlag("--allow"), Rule{
		Rule:     acl.Rule{Name: sections.FlagRule, Action: acl.Allow, Clients: f.Allow, To: f.To},
		Download: rate,
		Upload:   rate,
	})
}

// unknownUser finds fault with a name that no [[user]] has.
func (b *builder) unknownUser(name string) *strict.Fault {
	if slices.ContainsFunc(b.file.User, func(u fileUser) bool { return u.Name == name }) {
		return nil
	}
	names := make([]string, len(b.file.User))
	for i, u := range b.file.User {
		names[i] = u.Name
	}
	return sections.UnknownUser(name, "add a [[user]] with this name", names)
}
