package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"sluice/acl"
)

// flagRule is the name of the rule that --allow makes; no rule of a file may
// have it.
const flagRule = "command-line"

// rules takes the flags' rule, then the file's, or the loopback rule if there is
// neither file nor flag, and compiles them.
func (b *builder) rules() {
	b.ruleOfFlags()
	for i, r := range b.file.Rule {
		b.ruleOfFile(inFile("rule", i), r)
	}
	if !b.hasFile && len(b.flags.Allow) == 0 {
		b.addRule(where{}, Rule{Rule: acl.Rule{
			Name:    "loopback",
			Action:  acl.Allow,
			Clients: []string{"127.0.0.0/8", "::1"},
		}})
	}
	b.checkNames()
	b.checkOpen()
	b.compile()
}

func (b *builder) addRule(from where, r Rule) {
	b.config.Rules = append(b.config.Rules, r)
	b.from = append(b.from, from)
}

func (b *builder) ruleOfFlags() {
	f := b.flags
	if len(f.Allow) == 0 {
		if len(f.To) > 0 {
			b.errs.addf(onFlag("--to"), "add --allow with the clients that may go there", "destinations without clients make no rule")
		}
		return
	}
	rate := b.rateFlag()
	b.addRule(onFlag("--allow"), Rule{
		Rule:     acl.Rule{Name: flagRule, Action: acl.Allow, Clients: f.Allow, To: f.To},
		Download: rate,
		Upload:   rate,
	})
}

// part is where a field of a rule, or an item of the field, is written.
func (b *builder) part(rule int, field string, item ...any) where {
	from := b.from[rule]
	if from.flag != "" && field == "to" {
		return onFlag("--to")
	}
	return from.sub(append([]any{field}, item...)...)
}

func (b *builder) ruleOfFile(at where, r fileRule) {
	// The name outlives the rule, in records and metrics, and must not keep the text of
	// a whole file in memory.
	rule := Rule{
		Rule:     acl.Rule{Name: strings.Clone(r.Name), Action: choice(r.Action, acl.Deny, acl.Allow), Mode: choice(r.Mode, acl.Enforce, acl.Observe), Clients: r.Clients, Users: r.Users, To: r.To, Ports: r.Ports},
		Download: r.Download,
		Upload:   r.Upload,
	}
	missing := func(key string) bool { return !b.errs.has(at.sub(key)) }
	if r.Action == "" && missing("action") {
		b.errs.addf(at.sub("action"), `write action = "allow" or action = "deny"`, "the rule has no action")
	}
	if rule.Action == acl.Allow && len(r.Clients)+len(r.Users) == 0 && missing("clients") && missing("users") {
		b.errs.addf(at, `write clients = ["192.0.2.10"] or users = ["alice"]`, "the rule allows, but has neither clients nor users")
	}
	if r.Action == acl.Deny.String() {
		b.noRate(at.sub("download"), r.Download)
		b.noRate(at.sub("upload"), r.Upload)
	}
	for i, name := range r.Users {
		if name != "" && !b.hasUser(name) {
			b.errs.add(at.sub("users", i), b.unknownUser(name))
		}
	}
	b.addRule(at, rule)
}

func (b *builder) noRate(at where, r Rate) {
	if r != Unset {
		b.errs.addf(at, "take it out", "a rule that denies has no rates")
	}
}

func (b *builder) hasUser(name string) bool {
	for _, u := range b.file.User {
		if u.Name == name {
			return true
		}
	}
	return false
}

func (b *builder) unknownUser(name string) *fault {
	names := make([]string, 0, len(b.file.User))
	for _, u := range b.file.User {
		names = append(names, u.Name)
	}
	f := faultf("add a [[user]] with this name", "there is no user %q", name)
	if near := Nearest(name, names); near != "" {
		f.fix = fmt.Sprintf("did you mean %q?", near)
	}
	return f
}

// checkNames holds the file's names to what can stand in a reason phrase, a log
// line and a metric's label as it is.
func (b *builder) checkNames() {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	seen := make(map[string]where)
	for i, r := range b.config.Rules {
		at := b.part(i, "name")
		if b.from[i].path == nil || b.errs.has(at) {
			continue
		}
		_, dup := seen[r.Name]
		switch {
		case r.Name == "":
			b.errs.addf(at, `write name = "docker-hosts", say`, "the rule has no name")
		case len(r.Name) > 64 || strings.Trim(r.Name, letters) != "":
			b.errs.addf(at, "write up to 64 of the letters a to z, digits, dots, hyphens and underscores", "%s cannot be the name of a rule", show(r.Name))
		case r.Name == flagRule:
			b.errs.addf(at, "choose another", "the name %q is kept for the rule that --allow makes", r.Name)
		case dup:
			b.errs.addf(at, "give each its own", "there is a rule %q already", r.Name)
		}
		seen[r.Name] = at
	}
}

// compile makes the policy, or finds everything that is in its way.
func (b *builder) compile() {
	rules := make([]acl.Rule, len(b.config.Rules))
	for i, r := range b.config.Rules {
		rules[i] = r.Rule
	}
	var err error
	if b.config.Policy, err = acl.New(rules, b.presets.Lookup); err == nil {
		if b.config.Mode == acl.Observe {
			b.config.Policy = b.config.Policy.Observing(b.config.Open)
		}
		return
	}
	for i, r := range rules {
		b.diagnose(i, r)
	}
	// What is left would be a check of acl that is not made here.
	var re *acl.RuleError
	if len(b.errs.list) == 0 && errors.As(err, &re) {
		at := b.part(re.Rule, re.Field)
		if re.Item >= 0 {
			at = b.part(re.Rule, re.Field, re.Item)
		}
		b.errs.add(at, asFault(re))
	}
}

// diagnose tries the items of a rule one by one, for acl stops at the first that
// is wrong. Empty ones were reported by the decoder, unless they are a flag's.
func (b *builder) diagnose(rule int, r acl.Rule) {
	reported := func(s string) bool { return s == "" && b.from[rule].flag == "" }
	for i, s := range r.Clients {
		if _, err := acl.ParsePrefix(s); err != nil && !reported(s) {
			b.errs.add(b.part(rule, "clients", i), addressFault(s, err))
		}
	}
	for i, s := range r.To {
		one := acl.Rule{Name: "one", To: []string{s}}
		if _, err := acl.New([]acl.Rule{one}, b.presets.Lookup); err != nil && !reported(s) {
			b.errs.add(b.part(rule, "to", i), b.destinationFault(s, err))
		}
	}
}

// addressFault says what to write instead of something that is neither an
// address nor a CIDR.
func addressFault(s string, err error) *fault {
	f := asFault(err)
	if f.fix != "" {
		return f
	}
	f.fix = `write an address or a network, such as "192.0.2.10" or "192.0.2.0/24"`
	network, mask, _ := strings.Cut(s, "/")
	if bits, ok := maskBits(mask); ok {
		if a, err := netip.ParseAddr(network); err == nil && a.Is4() {
			f.fix = fmt.Sprintf("write %q", netip.PrefixFrom(a, bits).Masked())
		}
		return f
	}
	switch s {
	case "all", "any", "*", "everyone":
		f.fix = `write the networks that are meant; all of the Internet is "0.0.0.0/0" and "::/0"`
		return f
	}
	if h, err := acl.ParseHost(s); err == nil && !h.IsAddr() {
		f.problem = fmt.Sprintf("%q is a name, and clients are known by address only", s)
	}
	return f
}

// maskBits reads a netmask such as 255.255.255.0, as Squid's files have them.
func maskBits(s string) (int, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	ones, bits := net.IPMask(a.AsSlice()).Size()
	return ones, bits != 0
}

// destinationFault says what to write instead in `to`.
func (b *builder) destinationFault(s string, err error) *fault {
	var noPreset *acl.PresetError
	if errors.As(err, &noPreset) {
		f := &fault{problem: err.Error()}
		if near := Nearest(noPreset.Name, b.presets.Names); near != "" {
			f.fix = fmt.Sprintf("did you mean %q?", "@"+near)
		} else if len(b.presets.Names) > 0 {
			f.fix = "the presets are @" + strings.Join(b.presets.Names, ", @")
		}
		return f
	}
	f := asFault(err)
	if strings.Contains(s, "://") {
		f.problem = fmt.Sprintf("%q is a URL, and only hosts can be named here", s)
	}
	switch host, port := hostOfURL(s); {
	case f.fix != "":
	case s == "*" || s == "any" || s == "all":
		f.fix = "leave `to` out: the rule is then for every destination"
	case host != "" && port != "":
		f.fix = fmt.Sprintf("write %q here, and the port in ports = [%s]", host, port)
	case host != "" && host != s:
		f.fix = fmt.Sprintf("write %q", host)
	default:
		f.fix = `write a name, "*.example.com", ".example.com", an address, a CIDR or a "@preset"`
	}
	return f
}

// hostOfURL finds the host, and the port if there is one, in a URL or in
// "host:port"; "" for what has none.
func hostOfURL(s string) (host, port string) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, "/")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, ""
	}
	if _, err := acl.ParseHost(host); err != nil {
		return "", ""
	}
	if _, err := acl.ParsePort(port); err != nil {
		port = ""
	}
	return host, port
}
