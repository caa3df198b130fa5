package record

import (
	"net/http"
	"sync"
)

// Ring keeps the latest records, and beside them the latest of requests that were
// refused or failed, which would be lost among the many that were answered. It is safe
// for concurrent use.
type Ring struct {
	mu           sync.Mutex
	all, refused ring
}

// NewRing returns a ring of so many records of each kind, one at least.
func NewRing(size int) *Ring { return &Ring{all: newRing(size), refused: newRing(size)} }

// Add keeps a copy of a record, in the place of the oldest if need be.
func (g *Ring) Add(r *Record) {
	c := r.bounded()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all.add(c)
	if c.Refused() {
		g.refused.add(c)
	}
}

// Latest returns the records, the latest first. They must not be changed.
func (g *Ring) Latest() []*Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all.latest()
}

// LatestRefused returns the records of requests that were refused or failed, the
// latest first. They must not be changed.
func (g *Ring) LatestRefused() []*Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused.latest()
}

// Refused tells whether the request was refused or failed. The challenge with which
// each login begins is no refusal.
func (r *Record) Refused() bool {
	challenge := r.Status == http.StatusUnauthorized && r.Kind == Ping && r.User == "" && r.Error == ""
	return r.Status >= 400 && !challenge
}

type ring struct {
	list []*Record
	next int // where the next goes, once list is full
}

func newRing(size int) ring { return ring{list: make([]*Record, 0, max(1, size))} }

func (g *ring) add(r *Record) {
	if len(g.list) < cap(g.list) {
		g.list = append(g.list, r)
		return
	}
	g.list[g.next] = r
	g.next = (g.next + 1) % len(g.list)
}

func (g *ring) latest() []*Record {
	list := make([]*Record, 0, len(g.list))
	for i := range g.list {
		list = append(list, g.list[(g.next+len(g.list)-1-i)%len(g.list)])
	}
	return list
}
