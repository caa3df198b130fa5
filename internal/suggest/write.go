package suggest

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sluice/acl"
)

// names gives each rule one of its own, after where it leads.
func names(rules []rule) []string {
	// The one name that no file may give is taken.
	list, taken := make([]string, len(rules)), map[string]int{"command-line": 1}
	for i, r := range rules {
		base := letters(strings.TrimLeft(r.to[0], "@."))
		if len(r.to) > 1 {
			base += "-etc"
		}
		taken[base]++
		list[i] = base
		if n := taken[base]; n > 1 {
			list[i] = base + "_" + strconv.Itoa(n) // no base has an underscore, so it is free
		}
	}
	return list
}

// letters makes a text fit to be a part of a rule's name: 64 letters is what that may
// have at most.
func letters(s string) string {
	s = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, s)
	return s[:min(len(s), 48)]
}

// compiled returns the rules as acl has them.
func (g *Suggestion) compiled() []acl.Rule {
	list := make([]acl.Rule, len(g.rules))
	for i, name := range names(g.rules) {
		r := g.rules[i]
		list[i] = acl.Rule{Name: name, Action: acl.Allow, Clients: clientTexts(r.clients), Users: r.users, To: r.to, Ports: r.ports}
	}
	return list
}

func clientTexts(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
		if p.IsSingleIP() {
			texts[i] = p.Addr().String()
		}
	}
	return texts
}

// Rules returns how many there are.
func (g *Suggestion) Rules() int { return len(g.rules) }

// Write writes a configuration file of the rules, with what there is to say about
// them in comments. present are the rules that are in force now; nil: they are not
// known.
func (g *Suggestion) Write(w io.Writer, present *Present) error {
	out := bufio.NewWriter(w)
	g.writeReport(out, present)
	users := make(map[string]bool)
	for i, r := range g.compiled() {
		writeRule(out, r, g.rules[i].requests)
		for _, u := range r.Users {
			users[u] = true
		}
	}
	writeUsers(out, users)
	return out.Flush()
}

func writeRule(out *bufio.Writer, r acl.Rule, t tally) {
	fmt.Fprintf(out, "\n# %s\n[[rule]]\nname    = %s\naction  = \"allow\"\n", t, quote(r.Name))
	writeList(out, "clients", r.Clients)
	writeList(out, "users", r.Users)
	writeList(out, "to", r.To)
	if r.Ports != nil {
		ports := make([]string, len(r.Ports))
		for i, p := range r.Ports {
			ports[i] = p.String()
		}
		fmt.Fprintf(out, "ports   = [%s]\n", strings.Join(ports, ", "))
	}
}

// widest is how long a line with a list may become.
const widest = 100

func writeList(out *bufio.Writer, key string, items []string) {
	if len(items) == 0 {
		return
	}
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	line := fmt.Sprintf("%-7s = [%s]\n", key, strings.Join(quoted, ", "))
	if len(line) > widest {
		line = fmt.Sprintf("%-7s = [\n    %s,\n]\n", key, strings.Join(quoted, ",\n    "))
	}
	fmt.Fprint(out, line)
}

// quote writes a basic string of TOML. The texts have no control characters, so that
// Go's escapes are TOML's.
func quote(s string) string { return strconv.QuoteToASCII(s) }

// nobodysPassword has the form of a bcrypt hash, and there is no password for it.
const nobodysPassword = "$2a$04$....................................................."

func writeUsers(out *bufio.Writer, users map[string]bool) {
	for _, name := range sortedKeys(users) {
		fmt.Fprintf(out, "\n# Put the user's hash here: this one fits no password.\n[[user]]\nname     = %s\npassword = %s\n", quote(name), quote(nobodysPassword))
	}
}

// String reads "12 requests, the last on 2026-11-22T12:00:00Z".
func (t tally) String() string {
	s := count(t.n, "request")
	if !t.last.IsZero() {
		s += ", the last on " + t.last.UTC().Format(time.RFC3339)
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
