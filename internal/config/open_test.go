package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/acl"
)

func TestRulesWithUsersOrDenialsMayBeAsWideAsTheyLike(t *testing.T) {
	const rule = "[[rule]]\nname = %q\naction = %q\nclients = [\"0.0.0.0/0\"]\n%s\n"
	text := fmt.Sprintf(rule, "nobody", "deny", "") + fmt.Sprintf(rule, "staff", "allow", `users = ["alice"]`) +
		"[[user]]\nname = \"alice\"\npassword = \"$2y$10$SPbKe4aYo1FERvwJUsknUu9rTC8PWpwomxKFxaBbuA6FIAh8pC4LO\"\n"
	mustParse(t, text, Flags{})
}

// Observe mode lets in who gives no password, so what takes in the whole Internet
// must be meant there.
func TestObserveModeOpensNoProxyByAccident(t *testing.T) {
	const alice = "[[user]]\nname = \"alice\"\npassword = \"$2y$10$SPbKe4aYo1FERvwJUsknUu9rTC8PWpwomxKFxaBbuA6FIAh8pC4LO\"\n"
	rule := func(name, action string, lines ...string) string {
		return fmt.Sprintf("[[rule]]\nname = %q\naction = %q\n%s\n", name, action, strings.Join(lines, "\n"))
	}
	const all, users, observe = `clients = ["0.0.0.0/0"]`, `users = ["alice"]`, `mode = "observe"`
	for what, c := range map[string]struct {
		text string
		open bool
	}{
		"a rule that asks for users":                  {rule("r", "allow", all, users) + alice, false},
		"the same, observed":                          {rule("r", "allow", all, users, observe) + alice, true},
		"the same, in a whole trial":                  {observe + "\n" + rule("r", "allow", all, users) + alice, true},
		"users alone, observed":                       {observe + "\n" + rule("r", "allow", users, observe) + alice, false},
		"a rule that denies, observed":                {rule("r", "deny", all, observe), true},
		"the same, for users":                         {rule("r", "deny", all, users, observe) + alice, false},
		"the same, for whoever asks":                  {rule("r", "deny", observe), false}, // it lets nobody in
		"a rule that denies, in a whole trial":        {observe + "\n" + rule("r", "deny", all), false},
		"two that are the Internet together":          {rule("a", "allow", `clients = ["8.0.0.0/8"]`) + rule("b", "deny", `clients = ["20.0.0.0/8"]`, observe), true},
		"two of which one asks for users":             {rule("a", "allow", `clients = ["8.0.0.0/8"]`) + rule("b", "allow", `clients = ["20.0.0.0/8"]`, users) + alice, false},
		"two of which one asks for users, and is not": {rule("a", "allow", `clients = ["8.0.0.0/8"]`) + rule("b", "allow", `clients = ["20.0.0.0/8"]`, users, observe) + alice, true},
	} {
		_, err := Parse("test.toml", []byte(c.text), Flags{}, Presets{})
		if open := err != nil && strings.Contains(err.Error(), "whole Internet"); open != c.open || err != nil && !open {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Parse("test.toml", []byte("open = true\n"+c.text), Flags{}, Presets{}); err != nil {
			t.Errorf("%s, as it is meant: %v", what, err)
		}
	}
}

func TestAPolicyInObserveModeLetsInWhomTheFileNames(t *testing.T) {
	const text = "mode = \"observe\"\n[[rule]]\nname = \"r\"\naction = \"allow\"\nclients = [\"192.0.2.0/24\"]\nto = [\"a.example\"]\n"
	h, err := acl.ParseHost("b.example")
	if err != nil {
		t.Fatal(err)
	}
	stranger := acl.Request{Client: netip.MustParseAddr("203.0.113.1"), Host: h, Port: 22}
	known := stranger
	known.Client = netip.MustParseAddr("192.0.2.1")
	p := mustParse(t, text, Flags{}).Policy
	if !p.Decide(known).Observed || p.Decide(stranger).Passes() {
		t.Error("not just whom the file names passes")
	}
	if !mustParse(t, "open = true\n"+text, Flags{}).Policy.Decide(stranger).Observed {
		t.Error("open = true lets no stranger pass")
	}
}
