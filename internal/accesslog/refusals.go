package accesslog

import (
	"net/netip"
	"sync"
	"time"

	"sluice/internal/egress"
	"sluice/internal/limit"
)

const (
	// refusalWindow is the time in which a client may leave so many records.
	refusalWindow = time.Minute
	// refusalSweep is how often it is looked whose time is over.
	refusalSweep = 10 * time.Second
	// maxRefused is how many clients are told apart. All others share the records of
	// one, so that a scan from many addresses takes neither memory nor disk.
	maxRefused = 4096
)

// refusals bounds the records that refused clients leave. What is left out it
// counts, and has told when the client's next record is written or its minute is
// over.
type refusals struct {
	most uint64 // in a minute
	// tell has a line written about records that were left out; the client is not
	// valid for those that are not told apart. It says false when there was no room.
	tell func(client netip.Addr, left uint64) bool

	mu      sync.Mutex
	clients map[netip.Addr]*refused
	others  refused
	timer   *time.Timer // nil: nothing is remembered, or it is over
	over    bool
}

// refused is what one client has left in its minute.
type refused struct {
	since         time.Time
	written, left uint64
}

// newRefusals returns a bound of so many records per second, but counted by the
// minute.
func newRefusals(perSecond float64, tell func(netip.Addr, uint64) bool) *refusals {
	return &refusals{
		most:    max(1, uint64(perSecond*refusalWindow.Seconds()+0.5)),
		tell:    tell,
		clients: make(map[netip.Addr]*refused),
	}
}

// isRefusal tells whether a record is of something that this proxy has refused.
func isRefusal(r *record) bool {
	switch r.Outcome {
	case egress.RuleDenied.String(), egress.NotPublic.String(), egress.Loop.String(), egress.AuthRequired.String(),
		egress.ClientLimit.String(), egress.ServerFull.String(), egress.Malformed.String(), egress.HeaderTooLarge.String():
		return true
	}
	return false
}

// admit tells whether a record of a refusal is to be written.
func (f *refusals) admit(client netip.Addr, now time.Time) bool {
	key := limit.Key(client)
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[key]
	switch {
	case f.over:
		return true
	case c == nil && len(f.clients) < maxRefused:
		c = &refused{since: now}
		f.clients[key] = c
	case c == nil:
		c, key = &f.others, netip.Addr{}
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(refusalSweep, f.sweep)
	}
	if now.Sub(c.since) >= refusalWindow && f.told(key, c) {
		*c = refused{since: now}
	}
	if c.written < f.most {
		c.written++
		return true
	}
	c.left++
	return false
}

// told has what was left out told. It says false when that could not be.
func (f *refusals) told(client netip.Addr, c *refused) bool {
	if c.left > 0 && !f.tell(client, c.left) {
		return false
	}
	c.left = 0
	return true
}

// sweep forgets the clients whose minute is over.
func (f *refusals) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.timer = nil
	f.forget(time.Now().Add(-refusalWindow))
	if len(f.clients) > 0 || f.others.left > 0 {
		f.timer = time.AfterFunc(refusalSweep, f.sweep)
	}
}

// forget drops clients whose minute began then or before.
func (f *refusals) forget(then time.Time) {
	for key, c := range f.clients {
		if !c.since.After(then) && f.told(key, c) {
			delete(f.clients, key)
		}
	}
	if !f.others.since.After(then) {
		f.told(netip.Addr{}, &f.others)
	}
}

// close has all told that was left out, and bounds nothing any more.
func (f *refusals) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.forget(time.Now())
}
