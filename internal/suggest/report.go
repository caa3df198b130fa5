package suggest

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice/acl"
)

// Present are rules that are in force.
type Present struct {
	Name   string // of their file
	Policy *acl.Policy
}

// mostLines is how many lines a list in the report has at most.
const mostLines = 50

func (g *Suggestion) writeReport(out *bufio.Writer, present *Present) {
	s := g.seen
	clients, hosts := make(map[netip.Addr]struct{}), make(map[acl.Host]struct{})
	for k := range s.passed {
		clients[k.client] = struct{}{}
		hosts[k.host] = struct{}{}
	}
	fmt.Fprintf(out, "# From %s: %s passed, of %s to %s.\n", count(s.records, "record"), count(s.Passed(), "request"), count(len(clients), "client"), count(len(hosts), "destination"))
	s.left.write(out)
	if present != nil {
		writeKeys(out, "The rules of "+quote(present.Name)+" would have refused what passed:", s.passed, func(k key, _ tally) (string, bool) {
			d := present.Policy.Decide(k.request())
			return plain(present.Policy.Sentence(k.request(), d)), d.Action == acl.Deny
		})
	}
	writeKeys(out, "Refused by a rule, and by the rules below:", s.refused, func(k key, _ tally) (string, bool) {
		return "", !g.policy.Decide(k.request()).Passes()
	})
	writeKeys(out, "Refused by a rule, and allowed by the rules below:", s.refused, func(k key, _ tally) (string, bool) {
		return "", g.policy.Decide(k.request()).Passes()
	})
	writeKeys(out, "Failed, or refused for another reason than rules; nothing is allowed for these:", s.failed, func(k key, t tally) (string, bool) {
		_, too := s.passed[k]
		return t.outcome, !too
	})
	if len(s.addresses) > 0 {
		texts := make([]string, 0, len(s.addresses))
		for _, a := range slices.SortedFunc(maps.Keys(s.addresses), netip.Addr.Compare) {
			texts = append(texts, quote(a.String()))
		}
		fmt.Fprintf(out, "#\n# Addresses that are not public were dialled. That is for the file to allow, if it is meant:\n#   [egress]\n#   allow_private = [%s]\n", strings.Join(texts, ", "))
	}
}

func (l left) write(out *bufio.Writer) {
	var lines []string
	add := func(n int, what, more string) {
		if n > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d%s", what, n, more))
		}
	}
	add(l.malformed, "lines in neither Sluice's JSON nor Squid's native format", ", the first at "+quote(l.first))
	add(l.others, "lines that tell of no request", "")
	add(l.unread, "requests without a destination that could be read", "")
	add(l.users, "requests of users whose names cannot be in a file", "")
	add(l.schemes, "requests for other than http and https", "")
	add(l.crowded, fmt.Sprintf("requests that did not pass, beyond %d different ones of a kind", mostRefused), "")
	if len(lines) > 0 {
		fmt.Fprintf(out, "# Left out:\n#   %s\n", strings.Join(lines, "\n#   "))
	}
}

// writeKeys lists the requests that are chosen, the most frequent first.
func writeKeys(out *bufio.Writer, title string, of map[key]tally, choose func(key, tally) (why string, chosen bool)) {
	type line struct {
		key
		tally
		why string
	}
	var lines []line
	for k, t := range of {
		if why, chosen := choose(k, t); chosen {
			lines = append(lines, line{k, t, why})
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.n, a.n), b.last.Compare(a.last), a.client.Compare(b.client),
			cmp.Compare(a.host.String(), b.host.String()), cmp.Compare(a.port, b.port), cmp.Compare(a.user, b.user))
	})
	fmt.Fprintf(out, "#\n# %s\n", title)
	for i, l := range lines {
		if i == mostLines {
			fmt.Fprintf(out, "#   and %d more\n", len(lines)-i)
			break
		}
		who := l.client.String()
		if l.user != "" {
			who = quote(l.user) + " at " + who
		}
		fmt.Fprintf(out, "#   %s to %s: %s", who, l.host.Join(l.port), l.tally)
		if l.why != "" {
			fmt.Fprintf(out, " (%s)", l.why)
		}
		fmt.Fprintln(out)
	}
}

// plain is a text without what a terminal or an editor might take for more than that.
func plain(s string) string { q := quote(s); return q[1 : len(q)-1] }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
