package upstream

import (
	"sync"
	"time"
)

// Bounds of what a breaker does. The pause doubles with each probe that fails, and
// is spread so that many mirrors do not probe in step.
const (
	firstOpening       = time.Second
	longestUnreachable = 30 * time.Second
	longestFaulty      = 5 * time.Second // a host that answers may have one bad repository
	faultsToOpen       = 5
	maxBreakers        = 256 // hosts in trouble at once; the upstream names them, not clients
)

// outcome is what an exchange tells of its host.
type outcome uint8

const (
	learnedNothing outcome = iota // it never came to the host, or the client left
	answered
	faulty  // 502 to 504, or a connection that broke
	noReply // nothing came: each such request costs a client the whole timeout
)

// breakers keep requests from hosts that do not answer: the first in vain opens
// the host's breaker, and while it is open requests fail at once. Then one
// request probes; the others fail until it knows. Each host has its own, for a
// registry is well while the host of its blobs is not. It is safe for concurrent
// use.
type breakers struct {
	now    func() time.Time
	spread func() float64 // in [0,1)

	mu    sync.Mutex
	hosts map[string]*breaker // those in trouble
}

type breaker struct {
	faults  int // in a row
	pause   time.Duration
	until   time.Time // open before; zero: it never was
	probing bool
}

func newBreakers(now func() time.Time, spread func() float64) *breakers {
	return &breakers{now: now, spread: spread, hosts: make(map[string]*breaker)}
}

// admit tells whether a host may be asked. If so, tell must be called once with
// what came of it, and tells whether that opened the breaker; else wait is when to
// try again.
func (bs *breakers) admit(host string) (tell func(outcome) (opened bool), wait time.Duration) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	probe := false
	if b := bs.hosts[host]; b != nil && !b.until.IsZero() {
		switch left := b.until.Sub(bs.now()); {
		case left > 0:
			return nil, left
		case b.probing:
			return nil, firstOpening
		}
		b.probing, probe = true, true
	}
	return func(o outcome) bool { return bs.told(host, o, probe) }, 0
}

func (bs *breakers) told(host string, o outcome, probe bool) (opened bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.hosts[host]
	if b != nil && probe {
		b.probing = false
	}
	switch {
	case o == learnedNothing:
		return false
	case o == answered:
		delete(bs.hosts, host)
		return false
	case b == nil:
		if len(bs.hosts) >= maxBreakers {
			clear(bs.hosts)
		}
		b = &breaker{}
		bs.hosts[host] = b
	case b.until.After(bs.now()):
		return false // it was on its way when another opened the breaker
	}
	b.faults++
	if o != noReply && !probe && b.faults < faultsToOpen {
		return false
	}
	bs.open(b, o)
	return true
}

func (bs *breakers) open(b *breaker, o outcome) {
	longest := longestFaulty
	if o == noReply {
		longest = longestUnreachable
	}
	b.pause = min(max(2*b.pause, firstOpening), longest)
	// Between three quarters and five quarters of the pause.
	b.until = bs.now().Add(time.Duration(float64(b.pause) * (0.75 + 0.5*bs.spread())))
}
