package suggest

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"sluice/internal/presets"
)

// few is how many names of a domain, or addresses of a network, are written one by
// one at most: more of the names become the domain.
const few = 2

// leastOfPreset is how many hosts of a preset a client must have asked for.
const leastOfPreset = 2

// preset is one that may be suggested.
type preset struct {
	name  string // with "@"
	hosts []string
}

// suitable lists the presets but for those that cover storage which others share: to
// reach that must be somebody's decision.
func suitable() []preset {
	var list []preset
	for _, p := range presets.All() {
		if p.Broad {
			continue
		}
		q := preset{name: "@" + p.Name}
		for _, h := range p.Hosts {
			q.hosts = append(q.hosts, h.Name)
		}
		list = append(list, q)
	}
	return list
}

// host returns the pattern of the preset that matches a name, or "".
func (p preset) host(name string) string {
	for _, pattern := range p.hosts {
		if matches(pattern, name) {
			return pattern
		}
	}
	return ""
}

// matches reads a pattern as acl does.
func matches(pattern, name string) bool {
	if under, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, under) && name != under
	}
	if strings.HasPrefix(pattern, ".") {
		return strings.HasSuffix(name, pattern) || name == pattern[1:]
	}
	return name == pattern
}

// byPreset finds the presets that names, those that one client asked for on the
// ports of the web, are hosts of. The preset that accounts for most of them comes
// first, of two the shorter.
func byPreset(list []preset, names []string) map[string]string {
	found := make(map[string]string)
	for {
		best, most := -1, 0
		for i, p := range list {
			n, hosts := 0, make(map[string]struct{})
			for _, name := range names {
				if pattern := p.host(name); pattern != "" && found[name] == "" {
					n++
					hosts[pattern] = struct{}{}
				}
			}
			if len(hosts) >= leastOfPreset && (n > most || n == most && len(p.hosts) < len(list[best].hosts)) {
				best, most = i, n
			}
		}
		if best < 0 {
			return found
		}
		for _, name := range names {
			if found[name] == "" && list[best].host(name) != "" {
				found[name] = list[best].name
			}
		}
	}
}

// domain is a name and what is below it, as it was seen.
type domain struct {
	seen  bool
	under map[string]*domain // by label
}

// byDomain finds the domains that stand for names, sorted or not: the lowest ones with
// more than few patterns in them. No public suffix does, be it a country's or a cloud's.
func byDomain(names []string) map[string]string {
	root := &domain{}
	for _, name := range names {
		d := root
		labels := strings.Split(name, ".")
		for _, label := range slices.Backward(labels) {
			if d.under == nil {
				d.under = make(map[string]*domain)
			}
			if d.under[label] == nil {
				d.under[label] = &domain{}
			}
			d = d.under[label]
		}
		d.seen = true
	}
	found := make(map[string]string)
	root.patterns("", func(pattern string, names []string) {
		for _, name := range names {
			found[name] = pattern
		}
	})
	return found
}

// patterns returns the patterns that the domain needs, and all names in it.
func (d *domain) patterns(name string, group func(pattern string, names []string)) (patterns, names []string) {
	if d.seen {
		patterns, names = append(patterns, name), append(names, name)
	}
	for label, below := range d.under {
		p, n := below.patterns(strings.TrimSuffix(label+"."+name, "."), group)
		patterns, names = append(patterns, p...), append(names, n...)
	}
	if len(patterns) > few && isOwned(name, names) {
		patterns = []string{"." + name}
		group(patterns[0], names)
	}
	return patterns, names
}

// letting are labels under which clouds let names to anybody: s3 in a region of
// amazonaws.com, blob in core.windows.net, map in fastly.net. The package
// publicsuffix does not list what it has below a domain, it can only be asked for a
// name at a time.
var letting = []string{
	"x", "s3", "compute", "elb", "execute-api", "blob", "blob.core", "web.core", "servicebus", "cloudapp", "map", "ssl", "global.ssl", "app", "cloud", "pages",
}

// isOwned tells whether a domain belongs to somebody with all that is in it, as far as
// is known: neither it nor what is below it, of the names that were seen and of the
// usual ones, is a public suffix, whose names belong to others.
func isOwned(name string, seen []string) bool {
	if name == "" || suffix(name) == name {
		return false
	}
	within := func(s string) bool { return len(suffix(s)) > len(name) }
	return !slices.ContainsFunc(seen, within) &&
		!slices.ContainsFunc(letting, func(label string) bool { return within("x." + label + "." + name) })
}

func suffix(name string) string {
	s, _ := publicsuffix.PublicSuffix(name)
	return s
}

// byNetwork finds the networks that stand for addresses: with more than few of them.
func byNetwork(addrs []netip.Addr, bits4, bits6 int) map[netip.Addr]netip.Prefix {
	network := func(a netip.Addr) netip.Prefix {
		bits := bits6
		if a.Is4() {
			bits = bits4
		}
		p, _ := a.Prefix(bits) // of a valid address, and within its length
		return p
	}
	count := make(map[netip.Prefix]int)
	for _, a := range addrs {
		count[network(a)]++
	}
	found := make(map[netip.Addr]netip.Prefix)
	for _, a := range addrs {
		if p := network(a); count[p] > few {
			found[a] = p
		}
	}
	return found
}
