package record

import "sync"

// Ring keeps the latest records. It is safe for concurrent use.
type Ring struct {
	mu   sync.Mutex
	list []*Record
	next int // where the next goes, once list is full
}

// NewRing returns a ring of so many records, one at least.
func NewRing(size int) *Ring { return &Ring{list: make([]*Record, 0, max(1, size))} }

// Add keeps a copy of a record, in the place of the oldest if need be.
func (g *Ring) Add(r *Record) {
	c := r.bounded()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.list) < cap(g.list) {
		g.list = append(g.list, c)
		return
	}
	g.list[g.next] = c
	g.next = (g.next + 1) % len(g.list)
}

// Latest returns the records, the latest first. They must not be changed.
func (g *Ring) Latest() []*Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*Record, 0, len(g.list))
	for i := range g.list {
		list = append(list, g.list[(g.next+len(g.list)-1-i)%len(g.list)])
	}
	return list
}
