// Package presets holds the destination presets: "@docker-hub" in a rule's
// destinations stands for the hosts that a pull from Docker Hub needs.
//
// The lists are one file, presets.toml, compiled into the binary: nothing is
// fetched at run time, and each list says how old it is and where the vendor
// keeps its own. Matching names is left to package acl, suggesting a near name
// for an unknown one to the caller.
package presets

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed presets.toml
var text string

// Preset is a named list of destinations.
type Preset struct {
	Name    string // as in a rule's "to", without the "@"
	Purpose string
	Date    string // of the state of the source the hosts were compared with, as 2026-01-31
	Source  string // https address of the vendor's own list or documentation

	// Broad says that a pattern covers storage that other customers of the
	// same cloud share: who may reach it may also send data anywhere in it.
	Broad bool

	Hosts []Host
}

// Host is one destination of a preset.
type Host struct {
	Name    string // an exact name, "*.example.com" or ".example.com"
	Purpose string

	// Redirects says that its answers send clients on to other hosts of the preset.
	Redirects bool
	// Plain says that clients ask for it by http:// too, and that an answer on port
	// 80 alone is nothing unusual.
	Plain bool
}

// Wildcard tells whether the host stands for names that nobody can list.
func (h Host) Wildcard() bool { return h.Name[0] == '*' || h.Name[0] == '.' }

// All returns every preset, sorted by name. The caller owns the result.
func All() []Preset {
	byName := load()
	all := make([]Preset, 0, len(byName))
	for _, name := range Names() {
		all = append(all, clone(byName[name]))
	}
	return all
}

// Names returns the names of all presets, sorted, without "@".
func Names() []string { return slices.Sorted(maps.Keys(load())) }

// Lookup returns the preset of that name, given without "@". The caller owns
// the result.
func Lookup(name string) (Preset, bool) {
	p, ok := load()[name]
	return clone(p), ok
}

// Patterns returns the host patterns of the preset of that name, given without
// "@"; it is an acl.PresetFunc.
func Patterns(name string) ([]string, bool) {
	p, ok := load()[name]
	if !ok {
		return nil, false
	}
	patterns := make([]string, len(p.Hosts))
	for i, h := range p.Hosts {
		patterns[i] = h.Name
	}
	return patterns, true
}

func clone(p Preset) Preset {
	p.Hosts = slices.Clone(p.Hosts)
	return p
}

// load parses the embedded file on first use. It cannot fail in a binary whose
// tests have passed, so a fault there is a panic and no error to hand around.
var load = sync.OnceValue(func() map[string]Preset {
	byName, err := parse(text)
	if err != nil {
		panic(fmt.Sprintf("presets.toml: %v", err))
	}
	return byName
})

// entry is a preset as the file writes it.
type entry struct {
	Purpose string
	Date    time.Time
	Source  string
	Broad   bool
	Base    string // a preset without a base of its own
	Hosts   []struct {
		Names     []string
		Purpose   string
		Redirects bool
		Plain     bool
	}
}

func parse(text string) (map[string]Preset, error) {
	entries := map[string]entry{}
	md, err := toml.Decode(text, &entries)
	if err != nil {
		return nil, err
	}
	if extra := md.Undecoded(); len(extra) > 0 {
		return nil, fmt.Errorf("unknown key %q", extra[0].String())
	}
	byName := make(map[string]Preset, len(entries))
	for name, e := range entries {
		p := Preset{
			Name:    name,
			Purpose: e.Purpose,
			Date:    e.Date.Format(time.DateOnly),
			Source:  e.Source,
			Broad:   e.Broad,
		}
		if e.Base != "" {
			base, ok := entries[e.Base]
			if !ok || base.Base != "" {
				return nil, fmt.Errorf("preset %q: %q cannot be its base", name, e.Base)
			}
			p.Hosts = base.flat()
		}
		p.Hosts = append(p.Hosts, e.flat()...)
		byName[name] = p
	}
	return byName, nil
}

// flat lists the hosts one by one, in the file's order.
func (e entry) flat() []Host {
	var hosts []Host
	for _, group := range e.Hosts {
		for _, name := range group.Names {
			hosts = append(hosts, Host{Name: name, Purpose: group.Purpose, Redirects: group.Redirects, Plain: group.Plain})
		}
	}
	return hosts
}
