package acl

import (
	"hash/maphash"
	"iter"
)

// nameSet is a set of names, of which there may be a million: an open-addressed table
// of four bytes for each slot, beside names that are in memory anyway. The zero value
// is empty.
type nameSet struct {
	listed []string // names that the list of the rule has in the same spelling
	others []string // those that it does not
	seed   maphash.Seed
	slots  []uint32 // 1 and the index in listed, or behind these in others; 0: empty
	used   int
}

const leastSlots = 8 // a power of two, as their number always is

// add takes in a name. at is where it is in a list that stays as it is, or -1; it is
// the same list for all names of a set.
func (s *nameSet) add(name string, list []string, at int) {
	if s.slots == nil {
		s.listed, s.seed = list, maphash.MakeSeed()
		s.slots = make([]uint32, leastSlots)
	}
	if (s.used+1)*4 > len(s.slots)*3 {
		s.grow()
	}
	slot := s.find(name)
	if s.slots[slot] != 0 {
		return
	}
	if at < 0 || s.listed[at] != name {
		s.others = append(s.others, name)
		at = len(s.listed) + len(s.others) - 1
	}
	s.slots[slot] = uint32(at) + 1
	s.used++
}

func (s *nameSet) grow() {
	old := s.slots
	s.slots = make([]uint32, 2*len(old))
	for _, i := range old {
		if i != 0 {
			s.slots[s.find(s.name(i))] = i
		}
	}
}

func (s *nameSet) name(slot uint32) string {
	if i := int(slot) - 1; i < len(s.listed) {
		return s.listed[i]
	}
	return s.others[int(slot)-1-len(s.listed)]
}

// find returns the slot of a name: the one that has it, or the empty one for it.
func (s *nameSet) find(name string) int {
	mask := len(s.slots) - 1
	slot := int(maphash.String(s.seed, name)) & mask
	for s.slots[slot] != 0 && s.name(s.slots[slot]) != name {
		slot = (slot + 1) & mask
	}
	return slot
}

func (s *nameSet) has(name string) bool { return s.used > 0 && s.slots[s.find(name)] != 0 }

func (s *nameSet) len() int { return s.used }

// all yields the names in no order.
func (s *nameSet) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, i := range s.slots {
			if i != 0 && !yield(s.name(i)) {
				return
			}
		}
	}
}
