package admin

import (
	"maps"
	"sync"

	"sluice/internal/track"
)

// totals counts what has ended.
type totals struct {
	mu       sync.Mutex
	up, down int64
	requests map[string]uint64
}

func (t *totals) add(r *track.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests == nil {
		t.requests = make(map[string]uint64)
	}
	t.requests[r.Outcome]++
	t.up += r.Up
	t.down += r.Down
}

// ownTotals counts what is live to what has ended.
func (h *Handler) ownTotals() (up, down int64, requests map[string]uint64) {
	for _, e := range h.o.Gate.Live().Entries(nil) {
		u, d := e.Bytes()
		up, down = up+u, down+d
	}
	h.totals.mu.Lock()
	defer h.totals.mu.Unlock()
	return up + h.totals.up, down + h.totals.down, maps.Clone(h.totals.requests)
}
