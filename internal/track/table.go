// Package track knows what is live: it lists, kills and drains transactions, and
// defines the one Record that each leaves at its end. Where records go is left to
// the caller.
package track

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Live is a transaction that is under way.
type Live interface {
	// Snapshot returns the record as it stands now.
	Snapshot() Record
	// Bytes returns what it has relayed so far: client to origin, and back.
	Bytes() (up, down int64)
	// Uncounted returns what it has relayed since the last call, and nothing once it
	// has ended. It is for the one that keeps totals of all transactions, so that each
	// byte is counted once.
	Uncounted() Uncounted
	// Kill ends the transaction soon, with how as its record's How and reason as
	// its Reason. It does not wait, and may be called at any time and more than
	// once: the first counts.
	Kill(how, reason string)
}

// Uncounted is a share of a transaction's bytes, and what totals they belong to.
type Uncounted struct {
	Protocol Protocol
	Rule     string // "" before one has decided
	Up, Down int64  // bytes, client to origin and back
}

// Table holds the live transactions of one process. It has them in parts, so that
// who lists thousands of them holds up others for no longer than a part takes.
type Table struct {
	next  atomic.Uint64
	count atomic.Int64
	parts [parts]part

	mu    sync.Mutex
	empty chan struct{} // closed when the table runs empty while someone drains
}

// parts makes a list of 20,000 hold each lock for some 30 to 50 µs.
const parts = 16

type part struct {
	mu   sync.Mutex
	live map[ID]Live
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{}
	for i := range t.parts {
		t.parts[i].live = make(map[ID]Live)
	}
	// 24 random bits in front keep identifiers of two runs apart in one log.
	t.next.Store(uint64(rand.Uint32()>>8) << 40)
	return t
}

// NewID returns the next identifier.
func (t *Table) NewID() ID { return ID(t.next.Add(1)) }

// of returns the part that has an identifier, if one has; they are numbered, so they
// come to all parts alike.
func (t *Table) of(id ID) *part { return &t.parts[id%parts] }

// Add enters a transaction under its identifier. Remove must follow.
func (t *Table) Add(id ID, l Live) {
	t.count.Add(1)
	p := t.of(id)
	p.mu.Lock()
	p.live[id] = l
	p.mu.Unlock()
}

// Remove takes a transaction out, if it is in.
func (t *Table) Remove(id ID) {
	p := t.of(id)
	p.mu.Lock()
	_, in := p.live[id]
	delete(p.live, id)
	p.mu.Unlock()
	if !in || t.count.Add(-1) > 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count.Load() == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// Len returns the number of live transactions.
func (t *Table) Len() int { return int(t.count.Load()) }

// List returns the live transactions in no order: all that were live throughout, and
// some of those that came or went meanwhile.
func (t *Table) List() []Live {
	list := make([]Live, 0, t.Len())
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		for _, l := range p.live {
			list = append(list, l)
		}
		p.mu.Unlock()
	}
	return list
}

// Get returns a live transaction, or nil.
func (t *Table) Get(id ID) Live {
	p := t.of(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live[id]
}

// KillAll kills what is live now and returns how many that were.
func (t *Table) KillAll(how string) int {
	list := t.List()
	for _, l := range list {
		l.Kill(how, "")
	}
	return len(list)
}

// Drain waits until nothing is live, or until ctx ends, whose error it returns.
func (t *Table) Drain(ctx context.Context) error {
	for {
		t.mu.Lock()
		if t.count.Load() == 0 {
			t.mu.Unlock()
			return nil
		}
		if t.empty == nil {
			t.empty = make(chan struct{})
		}
		empty := t.empty
		t.mu.Unlock()
		select {
		case <-empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
