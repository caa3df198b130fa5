package sections

import (
	"errors"
	"fmt"
	"strings"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// RuleTable is a rule as it is written.
type RuleTable struct {
	Name     string      `toml:"name"`
	Action   string      `toml:"action" oneof:"allow deny"`
	Mode     string      `toml:"mode" default:"enforce" oneof:"enforce observe"`
	Clients  []string    `toml:"clients" list:"nonempty" example:"192.0.2.10"`
	Users    []string    `toml:"users" list:"nonempty" example:"alice"`
	To       []string    `toml:"to" list:"nonempty" example:"example.com"`
	Ports    Ports       `toml:"ports" list:"nonempty"`
	Download strict.Rate `toml:"download" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
	Upload   strict.Rate `toml:"upload" min:"1kB/s" max:"1000GB/s" example:"50MB/s"`
}

// Rule is an access rule and the rates of the tunnels that it admits.
type Rule struct {
	acl.Rule
	Download strict.Rate // origin to client; Unset: that of the limits
	Upload   strict.Rate // client to origin; Unset: that of the limits
}

// FlagRule is the name of the rule that --allow makes; no rule of a file may
// have it.
const FlagRule = "command-line"

// Rules takes in rules in the order of their decision and compiles them.
type Rules struct {
	Report  *Report
	At      strict.Where // the array of tables in the file
	Presets Presets
	Open    bool     // the file says that the whole Internet is meant to be let in
	Mode    acl.Mode // of all rules
	Program string   // what lets clients in, for messages, such as "proxy"
	// User finds fault with the name of a user; nil: no name is wrong.
	User func(name string) *strict.Fault

	list []Rule
	from []strict.Where // where each is written
}

// List returns the rules; indexes are those of the policy.
func (rs *Rules) List() []Rule { return rs.list }

// From is where a rule is written.
func (rs *Rules) From(rule int) strict.Where { return rs.from[rule] }

// Part is where a field of a rule, or an item of the field, is written.
func (rs *Rules) Part(rule int, field string, item ...any) strict.Where {
	from := rs.from[rule]
	if from.Flag != "" && field == "to" {
		return strict.OnFlag("--to")
	}
	return from.Sub(append([]any{field}, item...)...)
}

// Add takes in a rule that is written at a place, or nowhere.
func (rs *Rules) Add(from strict.Where, r Rule) {
	rs.list = append(rs.list, r)
	rs.from = append(rs.from, from)
}

// AddLoopback takes in the rule that holds without file and flags.
func (rs *Rules) AddLoopback() {
	rs.Add(strict.Where{}, Rule{Rule: acl.Rule{
		Name:    "loopback",
		Action:  acl.Allow,
		Clients: []string{"127.0.0.0/8", "::1"},
	}})
}

// AddTable takes in a rule of the file.
func (rs *Rules) AddTable(at strict.Where, t RuleTable) {
	// The name outlives the rule, in records and metrics, and must not keep the text of
	// a whole file in memory.
	rule := Rule{
		Rule: acl.Rule{
			Name: strings.Clone(t.Name), Action: strict.Choice(t.Action, acl.Deny, acl.Allow), Mode: strict.Choice(t.Mode, acl.Enforce, acl.Observe),
			Clients: t.Clients, Users: t.Users, To: t.To, Ports: t.Ports,
		},
		Download: t.Download,
		Upload:   t.Upload,
	}
	errs := &rs.Report.Errors
	missing := func(key string) bool { return !errs.Has(at.Sub(key)) }
	if t.Action == "" && missing("action") {
		errs.Addf(at.Sub("action"), `write action = "allow" or action = "deny"`, "the rule has no action")
	}
	if rule.Action == acl.Allow && len(t.Clients)+len(t.Users) == 0 && missing("clients") && missing("users") {
		errs.Addf(at, `write clients = ["192.0.2.10"] or users = ["alice"]`, "the rule allows, but has neither clients nor users")
	}
	if t.Action == acl.Deny.String() {
		rs.noRate(at.Sub("download"), t.Download)
		rs.noRate(at.Sub("upload"), t.Upload)
	}
	for i, name := range t.Users {
		if name != "" && rs.User != nil {
			if f := rs.User(name); f != nil {
				errs.Add(at.Sub("users", i), f)
			}
		}
	}
	rs.Add(at, rule)
}

func (rs *Rules) noRate(at strict.Where, r strict.Rate) {
	if r != strict.Unset {
		rs.Report.Errors.Addf(at, "take it out", "a rule that denies has no rates")
	}
}

// Compile makes the policy, or finds everything that is in its way.
func (rs *Rules) Compile() *acl.Policy {
	rs.checkNames()
	rs.checkOpen()
	rules := make([]acl.Rule, len(rs.list))
	for i, r := range rs.list {
		rules[i] = r.Rule
	}
	p, err := acl.New(rules, rs.Presets.Lookup)
	if err == nil {
		if rs.Mode == acl.Observe {
			p = p.Observing(rs.Open)
		}
		return p
	}
	for i, r := range rules {
		rs.diagnose(i, r)
	}
	// What is left would be a check of acl that is not made here.
	var re *acl.RuleError
	if rs.Report.Errors.Empty() && errors.As(err, &re) {
		at := rs.Part(re.Rule, re.Field)
		if re.Item >= 0 {
			at = rs.Part(re.Rule, re.Field, re.Item)
		}
		rs.Report.Errors.Add(at, strict.AsFault(re))
	}
	return nil
}

// checkNames holds the file's names to what can stand in a reason phrase, a log
// line and a metric's label as it is.
func (rs *Rules) checkNames() {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	errs := &rs.Report.Errors
	seen := make(map[string]bool)
	for i, r := range rs.list {
		at := rs.Part(i, "name")
		if rs.from[i].Path == nil || errs.Has(at) {
			continue
		}
		switch {
		case r.Name == "":
			errs.Addf(at, `write name = "docker-hosts", say`, "the rule has no name")
		case len(r.Name) > 64 || strings.Trim(r.Name, letters) != "":
			errs.Addf(at, "write up to 64 of the letters a to z, digits, dots, hyphens and underscores", "%s cannot be the name of a rule", strict.Show(r.Name))
		case r.Name == FlagRule:
			errs.Addf(at, "choose another", "the name %q is kept for the rule that --allow makes", r.Name)
		case seen[r.Name]:
			errs.Addf(at, "give each its own", "there is a rule %q already", r.Name)
		}
		seen[r.Name] = true
	}
}

// diagnose tries the items of a rule one by one, for acl stops at the first that
// is wrong. Empty ones were reported by the decoder, unless they are a flag's.
func (rs *Rules) diagnose(rule int, r acl.Rule) {
	reported := func(s string) bool { return s == "" && rs.from[rule].Flag == "" }
	for i, s := range r.Clients {
		if _, err := acl.ParsePrefix(s); err != nil && !reported(s) {
			rs.Report.Errors.Add(rs.Part(rule, "clients", i), addressFault(s, err))
		}
	}
	for i, s := range r.To {
		one := acl.Rule{Name: "one", To: []string{s}}
		if _, err := acl.New([]acl.Rule{one}, rs.Presets.Lookup); err != nil && !reported(s) {
			rs.Report.Errors.Add(rs.Part(rule, "to", i), rs.Presets.fault(s, err))
		}
	}
}

// UnknownUser is the fault of a name that is not among those that there are.
func UnknownUser(name, fix string, names []string) *strict.Fault {
	if near := strict.Nearest(name, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	return strict.Faultf(fix, "there is no user %q", name)
}
