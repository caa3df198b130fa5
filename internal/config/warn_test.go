package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func warnings(c *Config) []string {
	var list []string
	for _, w := range c.Warnings {
		list = append(list, w.String())
	}
	return list
}

const ruleOfWarnTest = "[[rule]]\nname = \"first\"\naction = \"allow\"\nclients = [\"192.0.2.0/24\"]\n"

const userOfWarnTest = "[[user]]\nname = \"alice\"\npassword = \"$2y$10$SPbKe4aYo1FERvwJUsknUu9rTC8PWpwomxKFxaBbuA6FIAh8pC4LO\"\n"

func TestWhatIsHardlyMeantIsAWarning(t *testing.T) {
	tests := []struct {
		name, text string
		flags      Flags
		want       []string
	}{
		{"a rule behind a broader one",
			ruleOfWarnTest + "\n[[rule]]\nname = \"second\"\naction = \"deny\"\nclients = [\"192.0.2.9\"]\nto = [\"example.com\"]\n", Flags{},
			[]string{`test.toml:6:1: rule "second" can never decide: rule "first" before it is for all the same requests, and more or as many; take it out, or put it before that one`}},
		{"a rule against users who need no password",
			userOfWarnTest + "[[rule]]\nname = \"not-alice\"\naction = \"deny\"\nusers = [\"alice\"]\nto = [\"example.com\"]\n" + ruleOfWarnTest, Flags{},
			[]string{`test.toml:4:1: rule "not-alice" does not bind who gives no password: rule "first" behind it allows some of the same without one; let rules behind it that allow ask for users, or deny without users`}},
		{"a rule against users who need a password",
			userOfWarnTest + "[[rule]]\nname = \"not-alice\"\naction = \"deny\"\nusers = [\"alice\"]\nto = [\"example.com\"]\n" + ruleOfWarnTest + "users = [\"alice\"]\n", Flags{}, nil},
		{"a rule behind that of the flags", ruleOfWarnTest, Flags{Allow: []string{"192.0.0.0/16"}},
			[]string{`test.toml:1:1: rule "first" can never decide: rule "command-line" before it is for all the same requests, and more or as many; take it out, or put it before that one`}},
		{"destinations that are never public",
			ruleOfWarnTest + "to = [\n \"example.com\",\n \"10.0.0.0/8\", \"8.8.8.8\",\n \"::1\"]\n", Flags{},
			[]string{`test.toml:7:2: 10.0.0.0/8 is not public (private use) and will be refused all the same, as will another one here; add "10.0.0.0/8" to allow_private in [egress] if it is meant to be reached`}},
		{"a flag's destination that is never public", "", Flags{Allow: []string{"192.0.2.1"}, To: []string{"192.168.0.1"}},
			[]string{`--to: 192.168.0.1 is not public (private use) and will be refused all the same; add --allow-private 192.168.0.1 if it is meant to be reached`}},
		{"destinations that are not public but may be dialled",
			ruleOfWarnTest + "to = [\"10.0.0.0/8\", \"192.168.1.1\", \"203.0.113.0/24\"]\n[egress]\nallow_private = [\"10.1.0.0/16\", \"192.168.0.0/16\"]\n", Flags{AllowPrivate: []string{"203.0.113.0/24"}}, nil},
		{"a deny rule may name what is refused anyhow", "[[rule]]\nname = \"no\"\naction = \"deny\"\nto = [\"10.0.0.0/8\"]\n", Flags{}, nil},
		{"the whole Internet, as the file wants it",
			"open = true\n" + strings.Replace(ruleOfWarnTest, "192.0.2.0/24", "::/0", 1), Flags{},
			[]string{`test.toml:5:12: the clients of rule "first" (::/0) take in the whole Internet: whoever finds this proxy can use it`}},
		{"an admin address for everybody", ruleOfWarnTest + "[admin]\naddress = \":9128\"\n", Flags{},
			[]string{`test.toml:6:11: the admin address ":9128" can be reached from other machines, and asks for no password; write "127.0.0.1:9128" or "unix:/run/sluice/admin.sock", or let a firewall guard it`}},
		{"an admin address on loopback", ruleOfWarnTest + "[admin]\naddress = \"[::1]:9128\"\n", Flags{}, nil},
		{"a user whom no rule names",
			ruleOfWarnTest + userOfWarnTest, Flags{},
			[]string{`test.toml:5:1: user "alice" is in no rule; name the user in a rule, or take the entry out`}},
		{"a proxy on trial", "mode = \"observe\"\n" + ruleOfWarnTest, Flags{},
			[]string{"test.toml:1:8: this proxy is in observe mode: what it would refuse passes; take `mode` out to enforce it"}},
		{"a rule on trial", ruleOfWarnTest + "mode = \"observe\"\n", Flags{},
			[]string{"test.toml:5:8: rule \"first\" is in observe mode: what it would refuse passes; take `mode` out to enforce it"}},
		{"private ranges that reach this machine", ruleOfWarnTest + "[egress]\nallow_private = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n", Flags{AllowPrivate: []string{"::1"}},
			[]string{
				`--allow-private: ::1/128 lets clients reach services of this machine that listen on loopback`,
				`test.toml:6:32: 0.0.0.0/0 lets clients reach services of this machine that listen on loopback and the cloud's metadata service, with this machine's credentials`,
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := warnings(mustParse(t, test.text, test.flags))
			if test.text == "" {
				got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "there is no rule") })
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestThousandsOfRulesAreNotSearchedForShadows(t *testing.T) {
	var text strings.Builder
	for i := range 2001 {
		fmt.Fprintf(&text, "[[rule]]\nname = \"r%d\"\naction = \"deny\"\nclients = [\"192.0.2.1\"]\n", i)
	}
	got := warnings(mustParse(t, text.String(), Flags{}))
	want := []string{"test.toml:1:1: over 2000 rules: not searched for some that can never decide or are evaded"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
