package admin

import (
	"cmp"
	"slices"
	"strconv"

	"sluice/internal/admin/site"
)

// mostGroups is how many clients, and how many destinations, a tick tells of.
const mostGroups = 20

// group is what live transactions have in common: a client or a destination. The nil
// group takes part in nothing.
type group struct {
	name     string
	tunnels  int
	up, down int64 // bytes since the last look
}

func (g *group) leave() {
	if g != nil {
		g.tunnels--
	}
}

func (g *group) move(up, down int64) {
	if g != nil {
		g.up, g.down = g.up+up, g.down+down
	}
}

// groups are those of one kind.
type groups[K comparable] struct {
	of  map[K]*group
	top []*group // kept for the next look
}

// enter counts a transaction to its group, which is made, and named, if it is new.
func (s *groups[K]) enter(key K, name func() string) *group {
	g := s.of[key]
	if g == nil {
		g = &group{name: name()}
		s.of[key] = g
	}
	g.tunnels++
	return g
}

// order puts the busiest first, then those with most tunnels.
func order(a, b *group) int {
	return cmp.Or(cmp.Compare(b.up+b.down, a.up+a.down), cmp.Compare(b.tunnels, a.tunnels), cmp.Compare(a.name, b.name))
}

// busiest returns the first ones in order. Few are wanted of many, so the rest is not
// sorted.
func (s *groups[K]) busiest() []*group {
	s.top = s.top[:0]
	for _, g := range s.of {
		if g.tunnels == 0 && g.up+g.down == 0 {
			continue // the last one has just left
		}
		if len(s.top) == mostGroups && order(g, s.top[mostGroups-1]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(s.top, g, order)
		if len(s.top) == mostGroups {
			s.top = s.top[:mostGroups-1]
		}
		s.top = slices.Insert(s.top, at, g)
	}
	return s.top
}

// clear begins a new count of bytes, and forgets groups that nothing is in.
func (s *groups[K]) clear() {
	for key, g := range s.of {
		if g.up, g.down = 0, 0; g.tunnels == 0 {
			delete(s.of, key)
		}
	}
}

// append appends the busiest as a JSON array.
func (s *groups[K]) append(b []byte, key string, seconds float64) []byte {
	b = append(b, '[')
	for i, g := range s.busiest() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `{"`...), key...), `":`...)
		b = site.AppendString(b, g.name)
		b = strconv.AppendInt(append(b, `,"tunnels":`...), int64(g.tunnels), 10)
		b = strconv.AppendInt(append(b, `,"rate_up":`...), rate(g.up, seconds), 10)
		b = strconv.AppendInt(append(b, `,"rate_down":`...), rate(g.down, seconds), 10)
		b = append(b, '}')
	}
	return append(b, ']')
}
