package suggest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice/acl"
	"sluice/internal/presets"
)

// Options say what to make of what was seen. The zero value allows what passed.
type Options struct {
	// Refused allows what rules have refused, too.
	Refused bool
	// Widen writes networks for three or more clients or addresses in one: /24 of
	// IPv4, /64 of IPv6.
	Widen bool
}

// Prefix lengths of networks that stand for addresses.
const (
	network4 = 24
	network6 = 64
)

// who is a client, or a network of some, with its user.
type who struct {
	client netip.Prefix
	user   string
}

// web stands for the ports of a rule that names none.
const web = 0

// cell is one thing that a rule must allow: somebody, somewhere, on a port.
type cell struct {
	who  who
	to   string // as in a rule
	port uint16 // or web
}

// rule is one that is suggested.
type rule struct {
	clients  []netip.Prefix
	users    []string
	to       []string
	ports    []acl.PortRange // none: those of the web
	requests tally           // that it allows
}

// Suggestion is a set of rules.
type Suggestion struct {
	rules  []rule
	seen   *Seen
	policy *acl.Policy
}

// Suggest makes rules of what was seen. They allow all that passed.
func (s *Seen) Suggest(o Options) (*Suggestion, error) {
	wanted := maps.Clone(s.passed)
	if o.Refused {
		for k, t := range s.refused {
			wanted[k] = merged(wanted[k], t)
		}
	}
	g := &Suggestion{seen: s, rules: rulesFor(cells(wanted, o))}
	slices.SortFunc(g.rules, compareRules)
	var err error
	g.policy, err = acl.New(g.compiled(), presets.Patterns)
	return g, err
}

func merged(a, b tally) tally {
	n := a.n + b.n
	if b.last.After(a.last) {
		a = b
	}
	a.n = n
	return a
}

// cells generalizes requests to what rules are made of.
func cells(wanted map[key]tally, o Options) map[cell]tally {
	to, clients := destinations(wanted, o), networks(wanted, o)
	list := make(map[cell]tally, len(wanted))
	for k, t := range wanted {
		c := cell{who{clients[k.client], k.user}, to(k), k.port}
		if k.port == 80 || k.port == 443 {
			c.port = web
		}
		list[c] = merged(list[c], t)
	}
	return list
}

// networks tells as what each client is written.
func networks(wanted map[key]tally, o Options) map[netip.Addr]netip.Prefix {
	found := make(map[netip.Addr]netip.Prefix)
	for k := range wanted {
		found[k.client] = netip.PrefixFrom(k.client, k.client.BitLen())
	}
	if o.Widen {
		maps.Copy(found, byNetwork(slices.Collect(maps.Keys(found)), network4, network6))
	}
	return found
}

// destinations returns how the destination of a request is written in a rule.
func destinations(wanted map[key]tally, o Options) func(key) string {
	type asker struct {
		client netip.Addr
		user   string
	}
	asked := make(map[asker]map[string]struct{}) // names on the ports of the web
	names, addrs := make(map[string]struct{}), make(map[netip.Addr]struct{})
	for k := range wanted {
		if k.host.IsAddr() {
			addrs[k.host.Addr()] = struct{}{}
			continue
		}
		names[k.host.Name()] = struct{}{}
		if k.port == 80 || k.port == 443 {
			a := asker{k.client, k.user}
			if asked[a] == nil {
				asked[a] = make(map[string]struct{})
			}
			asked[a][k.host.Name()] = struct{}{}
		}
	}
	list := suitable()
	known := make(map[asker]map[string]string)
	for a, names := range asked {
		known[a] = byPreset(list, slices.Sorted(maps.Keys(names)))
	}
	for _, found := range known {
		for name := range found {
			delete(names, name) // lest a part of a preset makes a domain
		}
	}
	domains := byDomain(slices.Collect(maps.Keys(names)))
	nets := map[netip.Addr]netip.Prefix{}
	if o.Widen {
		nets = byNetwork(slices.Collect(maps.Keys(addrs)), network4, network6)
	}
	return func(k key) string {
		if k.host.IsAddr() {
			if p, ok := nets[k.host.Addr()]; ok {
				return p.String()
			}
			return k.host.String()
		}
		name := k.host.Name()
		if k.port == 80 || k.port == 443 {
			if p := known[asker{k.client, k.user}][name]; p != "" {
				return p
			}
		}
		return cmp.Or(domains[name], name)
	}
}

// rulesFor finds rules that allow just these cells.
func rulesFor(list map[cell]tally) []rule {
	ports := make(map[uint16]map[bool]map[who][]string)
	for c := range list {
		named := c.who.user != ""
		if ports[c.port] == nil {
			ports[c.port] = map[bool]map[who][]string{false: {}, true: {}}
		}
		ports[c.port][named][c.who] = append(ports[c.port][named][c.who], c.to)
	}
	var rules []rule
	for port, parts := range ports {
		for _, part := range parts {
			rules = append(rules, rulesOn(port, part)...)
		}
	}
	rules = byPorts(rules)
	for i := range rules {
		rules[i].count(list)
	}
	return rules
}

// rulesOn makes the rules for one port, or those of the web.
func rulesOn(port uint16, part map[who][]string) []rule {
	askers := slices.SortedFunc(maps.Keys(part), compareWho)
	index, to := make(map[string]int), []string(nil)
	for _, list := range part {
		to = append(to, list...)
	}
	slices.SortFunc(to, compareTo)
	to = slices.Compact(to)
	for i, t := range to {
		index[t] = i
	}
	table := make([][]int, len(askers))
	for i, a := range askers {
		for _, t := range part[a] {
			table[i] = append(table[i], index[t])
		}
		slices.Sort(table[i])
	}
	var rules []rule
	for _, b := range cover(table) {
		r := rule{}
		if port != web {
			r.ports = []acl.PortRange{{First: port, Last: port}}
		}
		for _, c := range b.cols {
			r.to = append(r.to, to[c])
		}
		var of []who
		for _, i := range b.rows {
			of = append(of, askers[i])
		}
		rules = append(rules, byUsers(r, of)...)
	}
	return rules
}

// byUsers parts a rule so that each client of a part comes with each of its users.
func byUsers(r rule, of []who) []rule {
	users := make(map[netip.Prefix][]string)
	for _, w := range of {
		if w.user != "" {
			users[w.client] = append(users[w.client], w.user)
		} else {
			users[w.client] = nil
		}
	}
	parts := make(map[string]*rule)
	for _, client := range slices.SortedFunc(maps.Keys(users), comparePrefix) {
		names := users[client]
		slices.Sort(names)
		id := strings.Join(names, "\n") // which is in no name
		if parts[id] == nil {
			part := r
			part.users = names
			parts[id] = &part
		}
		parts[id].clients = append(parts[id].clients, client)
	}
	var rules []rule
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		rules = append(rules, *parts[id])
	}
	return rules
}

// byPorts makes one rule of those that differ in their ports alone.
func byPorts(rules []rule) []rule {
	same := make(map[string][]rule)
	for _, r := range rules {
		id := fmt.Sprintf("%q%q%q", r.clients, r.users, r.to)
		same[id] = append(same[id], r)
	}
	var list []rule
	for _, of := range same {
		r := of[0]
		if len(of) > 1 {
			r.ports = nil
			for _, part := range of {
				if part.ports == nil {
					r.ports = append(r.ports, acl.DefaultPorts()...)
				}
				r.ports = append(r.ports, part.ports...)
			}
			slices.SortFunc(r.ports, func(a, b acl.PortRange) int { return cmp.Compare(a.First, b.First) })
		}
		list = append(list, r)
	}
	return list
}

// count adds up how often what the rule allows was seen.
func (r *rule) count(list map[cell]tally) {
	ports := []uint16{web}
	if r.ports != nil {
		ports = nil
		for _, p := range r.ports {
			ports = append(ports, p.First)
		}
		ports = append(ports, web)
	}
	users := r.users
	if users == nil {
		users = []string{""}
	}
	for _, client := range r.clients {
		for _, user := range users {
			for _, to := range r.to {
				for _, port := range ports {
					if port == web && r.ports != nil && !slices.Contains(ports, 443) {
						continue
					}
					r.requests = merged(r.requests, list[cell{who{client, user}, to, port}])
				}
			}
		}
	}
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func compareWho(a, b who) int {
	return cmp.Or(comparePrefix(a.client, b.client), cmp.Compare(a.user, b.user))
}

// compareTo puts presets first, then names by their domains, then addresses.
func compareTo(a, b string) int {
	kind := func(s string) int {
		switch {
		case strings.HasPrefix(s, "@"):
			return 0
		case isAddr(s):
			return 2
		}
		return 1
	}
	reversed := func(s string) []string {
		labels := strings.Split(s, ".")
		slices.Reverse(labels)
		return labels
	}
	if k := cmp.Compare(kind(a), kind(b)); k != 0 || kind(a) != 1 {
		return cmp.Or(k, cmp.Compare(a, b))
	}
	return cmp.Or(slices.Compare(reversed(a), reversed(b)), cmp.Compare(a, b))
}

func isAddr(s string) bool {
	_, err := acl.ParsePrefix(s)
	return err == nil
}

// compareRules puts those with most requests first.
func compareRules(a, b rule) int {
	return cmp.Or(
		cmp.Compare(b.requests.n, a.requests.n),
		slices.Compare(a.to, b.to),
		slices.CompareFunc(a.clients, b.clients, comparePrefix),
		slices.Compare(a.users, b.users),
		slices.CompareFunc(a.ports, b.ports, func(p, q acl.PortRange) int { return cmp.Compare(p.First, q.First) }),
	)
}
