package settings

import (
	"errors"
	"fmt"
	"strings"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/access"
)

// takeRules takes the flags' rule, then the file's, or the loopback rule if there is
// neither file nor flag. Which registries a rule is for is not the business of package
// sections, whose destinations are hosts.
func (b *builder) takeRules() {
	b.rules = sections.Rules{Report: &b.report, At: strict.InFile("rule"), Open: b.config.Open, Program: "mirror"}
	if len(b.flags.Allow) > 0 {
		b.take(strict.OnFlag("--allow"), access.Rule{Rule: acl.Rule{Name: sections.FlagRule, Action: acl.Allow, Clients: b.flags.Allow}})
	}
	for i, r := range b.file.Rule {
		b.ruleOfFile(strict.InFile("rule", i), r)
	}
	if !b.hasFile && len(b.flags.Allow) == 0 {
		b.rules.AddLoopback()
		b.config.Rules = append(b.config.Rules, access.Rule{Rule: b.rules.List()[0].Rule})
	}
	b.rules.Compile()
	b.compile()
}

// take takes in a rule that was found at a place.
func (b *builder) take(from strict.Where, r access.Rule) {
	b.config.Rules = append(b.config.Rules, r)
	r.To = nil
	b.rules.Add(from, sections.Rule{Rule: r.Rule})
}

func (b *builder) ruleOfFile(at strict.Where, r fileRule) {
	b.rules.AddTable(at, sections.RuleTable{Name: r.Name, Action: r.Action, Clients: r.Clients, Users: r.Users})
	list := b.rules.List()
	rule := access.Rule{Rule: list[len(list)-1].Rule, Private: r.Private}
	rule.To = r.To
	b.config.Rules = append(b.config.Rules, rule)
	for i, s := range r.To {
		if s != "" {
			b.registry(s, at.Sub("to", i))
		}
	}
	if len(r.Private) > 0 && r.Action == acl.Deny.String() {
		b.errs().Addf(at.Sub("private"), "take it out, or name them in a rule that allows", "a rule that denies gives nothing private")
		return
	}
	for i, s := range r.Private {
		if s != "" {
			b.private(s, rule, at.Sub("private", i))
		}
	}
}

// registry holds an item of `to` against the upstreams: what is mirrored is known, and
// a rule for something else never decides.
func (b *builder) registry(s string, at strict.Where) {
	one := access.Rule{Rule: acl.Rule{Name: "one", Action: acl.Allow, To: []string{s}}}
	if _, err := access.New([]access.Rule{one}); err != nil {
		f := strict.AsFault(cause(err))
		switch {
		case strings.HasPrefix(s, "@"):
			f = strict.Faultf("write the names of upstreams", "%q is a preset of the proxy, and registries are named here", s)
		case strings.Contains(s, "/"):
			f.Fix = `write the registry alone, such as "ghcr.io"; a repository can be named in private`
		case f.Fix == "":
			f.Fix = `write the name of an upstream, such as "ghcr.io", or "*.example.com"`
		}
		b.errs().Add(at, f)
		return
	}
	if strings.ContainsAny(s, "*/") || strings.HasPrefix(s, ".") {
		return
	}
	if f := b.unknownRegistry(s); f != nil {
		b.errs().Add(at, f)
	}
}

// unknownRegistry finds fault with a registry that no upstream is called; a host alone
// stands for each of its ports.
func (b *builder) unknownRegistry(s string) *strict.Fault {
	names := b.registries()
	for _, name := range names {
		if strings.EqualFold(name, s) || strings.HasPrefix(name, strings.ToLower(s)+":") {
			return nil
		}
	}
	fix := "add an [[upstream]] with this name"
	if near := strict.Nearest(s, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	return strict.Faultf(fix, "there is no upstream %q", s)
}

// private checks a repository, or all below a path, that a rule grants.
func (b *builder) private(s string, r access.Rule, at strict.Where) {
	one := access.Rule{Rule: acl.Rule{Name: "one", Action: acl.Allow}, Private: []string{s}}
	if _, err := access.New([]access.Rule{one}); err != nil {
		f := strict.AsFault(cause(err))
		if f.Fix == "" {
			f.Fix = `write it as "ghcr.io/acme/app", or "ghcr.io/acme/*" for all below`
		}
		b.errs().Add(at, f)
		return
	}
	name, _, _ := strings.Cut(s, "/")
	if f := b.unknownRegistry(name); f != nil {
		if !strings.ContainsAny(name, ".:") { // the rule by which image names are read, too
			f = strict.Faultf(fmt.Sprintf("write the registry in front, as in %q", dockerHub+"/"+s), "%q names no registry", s)
		}
		b.errs().Add(at, f)
		return
	}
	for _, c := range r.Clients {
		if p, err := acl.ParsePrefix(c); err == nil && p.Bits() == 0 && len(r.Users) == 0 {
			b.errs().Addf(at, "name the clients that may have it, or add users to the rule", "the clients of rule %q (%s) take in the whole Internet, and this would give private images to all of it", r.Name, c)
			return
		}
	}
	b.warnWithoutCredentials(name, s, at)
}

// warnWithoutCredentials points out that the mirror cannot fetch what it is to give.
func (b *builder) warnWithoutCredentials(registry, what string, at strict.Where) {
	for _, u := range b.config.Upstreams {
		if strings.EqualFold(u.Name, registry) && u.Username+u.Helper == "" {
			b.warns().Addf(at, "write username, and password_file, password_env or helper in its [[upstream]]",
				"the upstream %q has no credentials, so that what is private of %s cannot be fetched with them", u.Name, what)
		}
	}
}

// cause is what is wrong with an item, without its place.
func cause(err error) error {
	var re *acl.RuleError
	if errors.As(err, &re) {
		return re.Err
	}
	return err
}

// compile makes sure that package access takes the rules, should it ask for more than
// is asked here.
func (b *builder) compile() {
	if !b.errs().Empty() {
		return
	}
	_, err := access.New(b.config.Rules)
	var re *acl.RuleError
	if errors.As(err, &re) {
		b.errs().Add(b.rules.Part(re.Rule, re.Field), strict.AsFault(re.Err))
	} else if err != nil {
		b.errs().Add(strict.InFile("rule"), strict.AsFault(err))
	}
}

// users holds rules that name users, listeners that ask for them, and the file that
// has their passwords against each other.
func (b *builder) users() {
	name := b.file.Users.File
	at := strict.InFile("users", "file")
	b.config.UsersFile = name
	if name != "" {
		b.absolute(name, at, "/etc/sluice/mirror.htpasswd")
	}
	login := -1
	for i, l := range b.config.Listeners {
		if l.Login && login < 0 {
			login = i
		}
	}
	if login >= 0 && name == "" && !b.errs().Has(at) {
		b.errs().Addf(strict.InFile("listener", login, "login"), `write file = "/etc/sluice/mirror.htpasswd" in [users]`, "the listener asks for passwords, and there is no file of users")
	}
	for i, r := range b.config.Rules {
		if len(r.Users) > 0 && login < 0 && !b.anyLogin() {
			b.errs().Addf(b.rules.Part(i, "users"), "write login = true in a [[listener]] that has TLS", "the rule is for users, and no listener asks for a password")
		}
	}
}

// anyLogin tells whether the file has a listener with login, be it wrong otherwise.
func (b *builder) anyLogin() bool {
	for _, l := range b.file.Listener {
		if l.Login {
			return len(b.flags.Listen) == 0
		}
	}
	return false
}
