// Package limit keeps each client's budgets: connections without a tunnel, tunnels
// at once, new tunnels per second, and bytes per second each way over all its
// tunnels together. It also says which places of all clients together are kept for
// those who have few. A client
// is a source address, or the /64 of an IPv6 one, since one host may use any
// address of its /64. What a client is refused for is told to the caller; putting
// it on the wire, and moving bytes within a Bucket, are left to others.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limits are the bounds of one client.
type Limits struct {
	Tunnels  int     // at once; 0: no bound
	New      float64 // tunnels per second, with one second's worth as burst; 0: no bound
	Download int64   // bytes per second, origin to client; 0 or Unlimited: no bound
	Upload   int64   // bytes per second, client to origin; 0 or Unlimited: no bound
	Burst    int64   // bytes; 0: 1 MB
	// DownloadClass and UploadClass name the budgets of bytes: tunnels of one client
	// and one class share one. It is the rule's name where a rule has a rate of its
	// own for that direction, else "".
	DownloadClass, UploadClass string
	// Few, if more than 0, says that the places of all clients run out: this one gets
	// another only if it has fewer tunnels than that.
	Few int
}

// Own returns the limits with rates of a class's own, in bytes per second; 0 leaves that
// of all classes together.
func (l Limits) Own(class string, download, upload int64) Limits {
	if download != 0 {
		l.Download, l.DownloadClass = download, class
	}
	if upload != 0 {
		l.Upload, l.UploadClass = upload, class
	}
	return l
}

const defaultBurst = 1_000_000

// Reason is which bound refused a tunnel.
type Reason uint8

const (
	Admitted   Reason = iota
	TooMany           // the client has all its tunnels
	TooQuickly        // the client opens them too fast
	Scarce            // the last places are for clients that have fewer, or there is none
)

// Table holds the state of the clients that have tunnels, or had them lately.
type Table struct {
	seed   maphash.Seed
	shards [32]shard
}

type shard struct {
	mu      sync.Mutex
	clients map[netip.Addr]*client
	idle    client // between the last and the first of those without tunnels
	resting int    // how many those are
	swept   time.Time
}

type client struct {
	key        netip.Addr
	prev, next *client // in the ring of those without tunnels
	tunnels    int
	opening    *rate.Limiter // nil: no bound
	budgets    map[budgetKey]*Bucket
	idle       time.Time // since when it has no tunnel
}

type budgetKey struct {
	upload bool
	class  string
}

// NewTable returns an empty table. It needs no closing: it has no goroutine.
func NewTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		s := &t.shards[i]
		s.clients = make(map[netip.Addr]*client)
		s.idle.prev, s.idle.next = &s.idle, &s.idle
	}
	return t
}

// Key returns what a client is counted under: its IPv4 address, or the /64 of
// its IPv6 address.
func Key(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// Lease is a client's place for one tunnel. Release gives it back. It must not be
// copied.
type Lease struct {
	Up, Down Budget
	table    atomic.Pointer[Table]
	key      netip.Addr
}

// Admit takes a place for one tunnel and fills in its lease. When it is refused, the
// reason and the time after which another attempt makes sense are returned, and
// nothing has to be released.
func (t *Table) Admit(lease *Lease, addr netip.Addr, l Limits) (Reason, time.Duration) {
	key := Key(addr)
	s := t.shard(key)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	c := s.clients[key]
	if c == nil {
		c = &client{key: key}
		s.clients[key] = c
		s.rest(c, now)
	}
	if l.Tunnels > 0 && c.tunnels >= l.Tunnels {
		return TooMany, time.Second
	}
	if l.Few > 0 && c.tunnels >= l.Few {
		return Scarce, 0
	}
	if wait := c.open(now, l.New); wait > 0 {
		return TooQuickly, wait
	}
	if c.tunnels == 0 {
		s.wake(c)
	}
	c.tunnels++
	lease.key = key
	lease.charge(c, l, now)
	lease.table.Store(t)
	return Admitted, 0
}

// Change puts other limits in force for a tunnel that is live. Nothing happens after
// Release.
func (l *Lease) Change(limits Limits) {
	t := l.table.Load()
	if t == nil {
		return
	}
	s := t.shard(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Release may have been quicker.
	if c := s.clients[l.key]; l.table.Load() != nil && c != nil {
		l.charge(c, limits, time.Now())
	}
}

// charge has the tunnel's bytes charged to the client's buckets.
func (l *Lease) charge(c *client, limits Limits, now time.Time) {
	burst := limits.Burst
	if burst <= 0 {
		burst = defaultBurst
	}
	l.Up.bucket.Store(c.bucket(budgetKey{true, limits.UploadClass}, limits.Upload, burst, now))
	l.Down.bucket.Store(c.bucket(budgetKey{false, limits.DownloadClass}, limits.Download, burst, now))
}

// open asks for one new tunnel and returns how long to wait when there is none.
func (c *client) open(now time.Time, perSecond float64) time.Duration {
	if perSecond <= 0 {
		c.opening = nil
		return 0
	}
	burst := max(1, int(perSecond))
	if c.opening == nil {
		c.opening = rate.NewLimiter(rate.Limit(perSecond), burst)
	} else if c.opening.Limit() != rate.Limit(perSecond) {
		c.opening.SetLimitAt(now, rate.Limit(perSecond))
		c.opening.SetBurstAt(now, burst)
	}
	if c.opening.AllowN(now, 1) {
		return 0
	}
	missing := 1 - c.opening.TokensAt(now)
	return time.Duration(missing / perSecond * float64(time.Second))
}

// bucket finds the bucket of a rate, or makes it; nil is unlimited. When the rate is
// another one than before, tunnels that have the old bucket keep it until their
// leases are changed.
func (c *client) bucket(key budgetKey, perSecond, burst int64, now time.Time) *Bucket {
	old := c.budgets[key]
	switch {
	case !limited(perSecond):
		delete(c.budgets, key)
		return nil
	case old != nil && old.is(perSecond, burst):
		return old
	}
	b := newBucket(perSecond, burst)
	if old != nil {
		b.succeed(old, now)
	}
	if c.budgets == nil {
		c.budgets = make(map[budgetKey]*Bucket, 1)
	}
	c.budgets[key] = b
	return b
}

func limited(perSecond int64) bool { return perSecond > 0 && perSecond != Unlimited }

// Release gives the place back. The zero Lease has none, and a second call
// finds nothing to give.
func (l *Lease) Release() {
	t := l.table.Swap(nil)
	if t == nil {
		return
	}
	s := t.shard(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[l.key]
	c.tunnels--
	if c.tunnels == 0 {
		s.rest(c, time.Now())
	}
}

// Len returns the number of clients that are remembered.
func (t *Table) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.clients)
		s.mu.Unlock()
	}
	return n
}

// Busy returns the number of clients that have a tunnel.
func (t *Table) Busy() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.clients) - s.resting
		s.mu.Unlock()
	}
	return n
}

func (t *Table) shard(key netip.Addr) *shard {
	return &t.shards[maphash.Comparable(t.seed, key)%uint64(len(t.shards))]
}
