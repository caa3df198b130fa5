package acl

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// prefixSet is a set of address ranges with look-ups that do not depend on its
// size. The zero value is empty.
type prefixSet struct {
	table bart.Lite
	list  []netip.Prefix
}

func (s *prefixSet) insert(p netip.Prefix) {
	s.table.Insert(p)
	s.list = append(s.list, p)
}

// contains expects an unmapped address without zone, for no prefix contains
// another kind.
func (s *prefixSet) contains(a netip.Addr) bool { return s.table.Contains(a) }

// covers tells whether each range of o lies within one range of s.
func (s *prefixSet) covers(o *prefixSet) bool {
	for _, p := range o.list {
		if !s.table.LookupPrefix(p) {
			return false
		}
	}
	return true
}

// overlaps tells whether some address is in both sets.
func (s *prefixSet) overlaps(o *prefixSet) bool { return s.table.Overlaps(&o.table) }
