package access_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
)

func policy(t *testing.T, rules ...access.Rule) *access.Policy {
	t.Helper()
	p, err := access.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func allow(name string, clients, to []string, private ...string) access.Rule {
	return access.Rule{Rule: acl.Rule{Name: name, Action: acl.Allow, Clients: clients, To: to}, Private: private}
}

// decide reads "client[/user] registry name".
func decide(p *access.Policy, request string) access.Verdict {
	f := strings.Fields(request)
	client, user, _ := strings.Cut(f[0], "/")
	return p.Decide(netip.MustParseAddr(client), user, oci.Repository{Registry: f[1], Name: f[2]})
}

func TestWhoMayPullFromWhichRegistry(t *testing.T) {
	staff := allow("staff", nil, []string{"staff.example"})
	staff.Users = []string{"alice"}
	p := policy(t,
		access.Rule{Rule: acl.Rule{Name: "never", Clients: []string{"192.0.2.66"}}},
		allow("hub", []string{"192.0.2.0/24"}, []string{"docker.io", "*.gcr.example"}),
		allow("own", []string{"192.0.2.7"}, []string{"reg.example:5000", "both.example", "both.example:5000", "203.0.113.5:5000", "[2001:db8::5]:5000", "198.51.100.0/24"}),
		allow("all", []string{"2001:db8:1::/48"}, nil),
		staff,
	)
	for request, rule := range map[string]string{
		"192.0.2.1 docker.io library/alpine":        "hub",
		"::ffff:192.0.2.1 docker.io library/alpine": "hub", // a dual-stack listener's view
		"192.0.2.66 docker.io library/alpine":       "-never",
		"192.0.2.1 eu.gcr.example a/b":              "hub",
		"192.0.2.1 gcr.example a/b":                 "",
		"192.0.2.1 ghcr.io a/b":                     "",
		"192.0.2.1 docker.io.evil.example a/b":      "",
		"198.51.100.1 docker.io library/alpine":     "",

		"192.0.2.7 reg.example:5000 app":    "own",
		"192.0.2.7 reg.example:5001 app":    "", // a port that is named is that one
		"192.0.2.7 reg.example app":         "",
		"192.0.2.7 both.example app":        "own", // none is named: any
		"192.0.2.7 both.example:5000 app":   "own",
		"192.0.2.7 both.example:7000 app":   "own",
		"192.0.2.7 203.0.113.5:5000 app":    "own",
		"192.0.2.7 203.0.113.5 app":         "",
		"192.0.2.7 198.51.100.9:8443 app":   "own",
		"192.0.2.7 [2001:db8::5]:5000 app":  "own",
		"192.0.2.7 [2001:db8::5] app":       "",
		"2001:db8:1::9 anything.example a":  "all",
		"2001:db8:1::9 any.example:5000 a":  "all",
		"2001:db8:1::9 not/a/registry a":    "",
		"192.0.2.1/alice staff.example app": "staff",
		"192.0.2.1/bob staff.example app":   "",
	} {
		v := decide(p, request)
		want, denied := strings.CutPrefix(rule, "-")
		if v.Rule != want || v.Allowed != (rule != "" && !denied) || v.Allowed != (v.Sentence == "") {
			t.Errorf("%s: %+v, want rule %q", request, v, rule)
		}
	}
	if v := decide(p, "192.0.2.1 staff.example app"); v.Allowed || !v.NeedsUser {
		t.Errorf("without credentials, where they could help: %+v", v)
	}
	if v := decide(nil, "192.0.2.1 docker.io library/alpine"); v.Allowed || v.Sentence == "" {
		t.Errorf("no policy: %+v", v)
	}
}

func TestAClientIsToldWhyAndNothingOfOthers(t *testing.T) {
	staff := allow("staff", nil, []string{"staff.example"})
	staff.Users = []string{"alice"}
	p := policy(t,
		access.Rule{Rule: acl.Rule{Name: "no-tests", Clients: []string{"192.0.2.0/24"}, To: []string{"test.example"}}},
		allow("hub", []string{"192.0.2.0/24"}, []string{"docker.io"}), staff,
	)
	for request, want := range map[string]string{
		"192.0.2.1 test.example a/b":        "rule no-tests denies test.example/a/b to 192.0.2.1",
		"192.0.2.1 ghcr.io a/b":             "no rule lets 192.0.2.1 pull ghcr.io/a/b; it may pull from other registries",
		"192.0.2.1/bob staff.example app":   "no rule lets bob at 192.0.2.1 pull staff.example/app; it may pull from other registries",
		"198.51.100.1 staff.example app":    "no rule lets 198.51.100.1 pull staff.example/app; users who log in may",
		"198.51.100.1 docker.io library/go": "no rule lets 198.51.100.1 pull docker.io/library/go",
	} {
		if got := decide(p, request).Sentence; got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}

func TestPrivateContentIsForThoseWhomARuleNamesForIt(t *testing.T) {
	users := allow("release", nil, nil, "ghcr.io/acme/release")
	users.Users = []string{"alice"}
	p := policy(t,
		access.Rule{Rule: acl.Rule{Name: "never", Clients: []string{"192.0.2.66"}}},
		allow("everybody", []string{"192.0.2.0/24"}, nil),
		access.Rule{Rule: acl.Rule{Name: "not-that-one", Clients: []string{"192.0.2.9"}}},
		allow("ci", []string{"192.0.2.7", "192.0.2.9", "192.0.2.66", "198.51.100.7"}, []string{"ghcr.io", "docker.io"},
			"ghcr.io/acme/*", "ghcr.io/one", "docker.io/alpine", "docker.io/acme/app", "quay.io/*"),
		allow("mirror", []string{"192.0.2.8"}, nil, "quay.io/*"),
		users,
	)
	for request, private := range map[string]bool{
		"192.0.2.7 ghcr.io acme/app":               true,
		"192.0.2.7 ghcr.io acme/deep/er/app":       true,
		"192.0.2.7 ghcr.io acme":                   false, // a repository of that name is not below it
		"192.0.2.7 ghcr.io acmeevil/app":           false,
		"192.0.2.7 ghcr.io evil/acme/app":          false,
		"192.0.2.7 ghcr.io one":                    true,
		"192.0.2.7 ghcr.io one/two":                false,
		"192.0.2.7 docker.io library/alpine":       true, // as docker names it
		"192.0.2.7 docker.io acme/app":             true,
		"192.0.2.7 quay.io acme/app":               false, // listed, but the rule is not for that registry
		"192.0.2.7 evil.example acme/app":          false, // the same name elsewhere
		"192.0.2.8 quay.io acme/app":               true,
		"192.0.2.8 ghcr.io acme/app":               false,
		"192.0.2.9 ghcr.io acme/app":               false, // a rule that denies stands between
		"192.0.2.66 ghcr.io acme/app":              false,
		"198.51.100.7 ghcr.io acme/app":            true, // no rule for everybody ahead
		"192.0.2.1 ghcr.io acme/app":               false,
		"192.0.2.1/alice ghcr.io acme/release":     true,
		"192.0.2.1/bob ghcr.io acme/release":       false,
		"192.0.2.1 ghcr.io acme/release":           false,
		"203.0.113.1/alice ghcr.io acme/release":   true,
		"203.0.113.1/alice ghcr.io acme/release/x": false,
	} {
		if v := decide(p, request); v.Private != private || private && !v.Allowed {
			t.Errorf("%s: %+v, want private %v", request, v, private)
		}
	}
}

func TestWhatIsWrongWithARuleIsFoundInItsPlace(t *testing.T) {
	fine := allow("fine", nil, nil)
	for name, c := range map[string]struct {
		rule  access.Rule
		field string
		item  int
		text  string
	}{
		"no name":            {allow("", nil, nil), "name", -1, "no name"},
		"the same name":      {allow("fine", nil, nil), "name", -1, "is rule 1"},
		"no client":          {allow("x", []string{"192.0.2.1", "example.com"}, nil), "clients", 1, "not an address"},
		"host bits":          {allow("x", []string{"192.0.2.1/24"}, nil), "clients", 0, "host bits"},
		"port out of bounds": {allow("x", nil, []string{"docker.io", "reg.example:5000", "reg.example:70000"}), "to", 2, "port"},
		"a repository":       {allow("x", nil, []string{"docker.io/library"}), "to", 0, "docker.io/library"},
		"a preset":           {allow("x", nil, []string{"@docker-hub"}), "to", 0, "docker-hub"},
		"wildcard inside":    {allow("x", nil, []string{"a.*.example"}), "to", 0, "wildcard"},
		"private, no path":   {allow("x", nil, nil, "ghcr.io/acme/*", "ghcr.io"), "private", 1, "no registry"},
		"private anywhere":   {allow("x", nil, nil, "*/acme"), "private", 0, "no registry"},
		"private wildcard":   {allow("x", nil, nil, "ghcr.io/ac*"), "private", 0, "wildcard"},
		"private upper case": {allow("x", nil, nil, "ghcr.io/Acme/app"), "private", 0, "not a repository"},
		"private, denied":    {access.Rule{Rule: acl.Rule{Name: "x"}, Private: []string{"ghcr.io/a"}}, "private", 0, "denies"},
	} {
		_, err := access.New([]access.Rule{fine, c.rule})
		if name == "the same name" {
			c.text = "the name of rule 1"
		}
		var re *acl.RuleError
		if !errors.As(err, &re) || re.Rule != 1 || re.Field != c.field || re.Item != c.item || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v (%+v), want %s[%d] and %q", name, err, re, c.field, c.item, c.text)
		}
	}
}

func TestClientsThatNoRuleNamesAreNotAdmitted(t *testing.T) {
	p := policy(t,
		allow("hub", []string{"192.0.2.0/24"}, []string{"docker.io", "reg.example:5000"}),
		access.Rule{Rule: acl.Rule{Name: "deny", Clients: []string{"198.51.100.0/24"}}})
	for client, want := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "198.51.100.1": false, "203.0.113.1": false} {
		if got := p.AdmitsClient(netip.MustParseAddr(client)); got != want {
			t.Errorf("%s: %v", client, got)
		}
	}
	if (*access.Policy)(nil).AdmitsClient(netip.MustParseAddr("127.0.0.1")) || p.AdmitsClient(netip.Addr{}) {
		t.Error("no policy or no address admits somebody")
	}
}
