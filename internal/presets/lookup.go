package presets

import (
	"slices"
	"strings"
	"sync"
)

// For returns the names of the presets that have a host, given in the spelling of
// rules (lower case, ASCII, without a trailing dot): broad presets last, and left
// out where the one that they widen has the host. The caller must not change the
// result.
func For(host string) []string {
	x := index()
	if names, ok := x.exact[host]; ok {
		return names
	}
	return x.under.of(host)
}

// Redirecting returns the names of the presets of which a host, spelled as for
// [For], sends clients on to others. It is one look-up in a table of some twenty
// hosts. The caller must not change the result.
func Redirecting(host string) []string { return index().redirecting[host] }

// reverse is the presets by what they name.
type reverse struct {
	exact       map[string][]string // with the presets whose patterns match it
	under       patterns
	redirecting map[string][]string
}

// patterns are presets by the name whose subdomains they have.
type patterns map[string][]string

// of returns the presets with a pattern over a host.
func (p patterns) of(host string) []string {
	var names []string
	for rest := host; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return ranked(names)
		}
		names, rest = append(names, p[parent]...), parent
	}
}

var index = sync.OnceValue(func() *reverse { return reversed(load()) })

func reversed(byName map[string]Preset) *reverse {
	x := &reverse{exact: map[string][]string{}, under: patterns{}, redirecting: map[string][]string{}}
	for _, p := range byName {
		for _, h := range p.Hosts {
			under, below := strings.CutPrefix(strings.TrimPrefix(h.Name, "*"), ".")
			if below {
				x.under[under] = append(x.under[under], p.Name)
			}
			if h.Name[0] != '*' {
				x.exact[under] = append(x.exact[under], p.Name)
			}
			if h.Redirects {
				x.redirecting[under] = append(x.redirecting[under], p.Name)
			}
		}
	}
	for host, names := range x.exact {
		x.exact[host] = ranked(append(names, x.under.of(host)...))
	}
	for _, names := range x.redirecting {
		slices.Sort(names)
	}
	return x
}

// ranked sorts narrow presets ahead of broad ones, and takes out what is there twice
// and the broad forms of the narrow ones.
func ranked(names []string) []string {
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case broad(a) == broad(b):
			return strings.Compare(a, b)
		case broad(a):
			return 1
		}
		return -1
	})
	names = slices.Compact(names)
	all := slices.Clone(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return broad(name) && slices.Contains(all, strings.TrimSuffix(name, broadSuffix))
	})
}

// broadSuffix ends the names of broad presets; what stands before it is the name of
// the one that it widens. A test holds the file to this.
const broadSuffix = "-broad"

func broad(name string) bool { return strings.HasSuffix(name, broadSuffix) }
