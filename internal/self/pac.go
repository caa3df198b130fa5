package self

import (
	_ "embed"
	"encoding/json"
	"strings"

	"sluice/acl"
	"sluice/internal/presets"
)

//go:embed proxy.pac
var pacBody string

// maxPAC is how many destinations a PAC file has: past it everything goes to the
// proxy, which says no to what it does not let through.
const maxPAC = 2000

// pac is a PAC file by which a browser sends the proxy what the client's rules let
// through, and asks for everything else as it did before.
func pac(rules []acl.View, proxy string) string {
	names, everything := pacNames(rules)
	var b strings.Builder
	b.WriteString("var proxy = " + quoted("PROXY "+proxy) + ";\n")
	if everything {
		b.WriteString("var names = null; // everything\n")
	} else {
		list, err := json.Marshal(names)
		if err != nil {
			panic(err) // strings always have a form
		}
		b.WriteString("var names = " + string(list) + ";\n")
	}
	return b.String() + pacBody
}

// quoted is a text as JavaScript writes it.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// pacNames are the names and addresses that rules let through, as a rule writes them.
func pacNames(rules []acl.View) (names []string, everything bool) {
	names = []string{}
	for _, r := range rules {
		switch {
		case r.Rule.Action != acl.Allow:
			continue
		case len(r.Rule.To) == 0:
			return nil, true
		}
		for _, to := range r.Rule.To {
			patterns := []string{to}
			if name, ok := strings.CutPrefix(to, "@"); ok {
				patterns, _ = presets.Patterns(name)
			}
			for _, pattern := range patterns {
				names = append(names, normal(pattern))
			}
			if len(names) > maxPAC {
				return nil, true
			}
		}
	}
	return names, false
}

// normal is a pattern with its name as a browser writes it: in ASCII and small letters.
func normal(pattern string) string {
	name := strings.TrimLeft(pattern, "*.")
	h, err := acl.ParseHost(name)
	if err != nil {
		return pattern // a network
	}
	return strings.TrimSuffix(pattern, name) + h.String()
}
