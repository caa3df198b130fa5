package server

import (
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/internal/limit"
)

// shortage says when accepting begins to fail, and when it works again, in one
// line each: while it fails now and then it goes on.
type shortage struct {
	log  *zap.Logger
	over func() bool   // whether there is again what was short
	calm time.Duration // without a failure before it is over; 0: shortageCalm

	mu       sync.Mutex
	timer    *time.Timer // nil: there is no shortage
	began    time.Time
	last     time.Time
	failures int
	total    uint64 // failures since the start
	stopped  bool
}

const shortageCalm = 5 * time.Second

// failed notes that accept has failed.
func (s *shortage) failed(listener string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.failures++
	s.total++
	s.last = time.Now()
	if s.timer != nil {
		return
	}
	if s.calm == 0 {
		s.calm = shortageCalm
	}
	s.began = s.last
	s.log.Error("accept", zap.String("listener", listener), zap.Error(err))
	s.timer = time.AfterFunc(s.calm, s.look)
}

// look finds out whether it is over.
func (s *shortage) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	if time.Since(s.last) < s.calm || !s.over() {
		s.timer.Reset(s.calm)
		return
	}
	s.log.Info("accepting again", zap.Duration("after_seconds", time.Since(s.began)), zap.Int("failures", s.failures))
	s.timer, s.failures = nil, 0
}

// count returns how often accepting has failed since the start.
func (s *shortage) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *shortage) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// turnedAway counts connections for which there was no place, and logs them: the
// first at once, then all together at most every turnedAwayEvery, for a flood of
// connections must not become one of lines.
type turnedAway struct {
	log   *zap.Logger
	every time.Duration // 0: turnedAwayEvery

	mu      sync.Mutex
	timer   *time.Timer // nil: the next is logged at once
	client  int         // over their client's bound, since the last line
	server  int         // over that of all clients
	latest  netip.Addr
	total   [2]uint64 // since the start: over their client's bound, over that of all
	stopped bool
}

const turnedAwayEvery = 10 * time.Second

func (t *turnedAway) add(client netip.Addr, why limit.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	t.latest = client
	if why == limit.TooMany {
		t.client++
		t.total[0]++
	} else {
		t.server++
		t.total[1]++
	}
	if t.timer == nil {
		t.write()
	}
}

// write logs what has come together; the caller holds mu.
func (t *turnedAway) write() {
	t.log.Warn("connections reset, for too many are without a tunnel",
		zap.Int("over_handshakes", t.client), zap.Int("over_max_handshakes", t.server),
		zap.Stringer("latest", t.latest.Unmap()), zap.Uint64("total", t.total[0]+t.total[1]))
	t.client, t.server = 0, 0
	if t.every == 0 {
		t.every = turnedAwayEvery
	}
	t.timer = time.AfterFunc(t.every, t.tick)
}

func (t *turnedAway) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopped:
	case t.client+t.server > 0:
		t.write()
	default:
		t.timer = nil
	}
}

// counts returns how many there were since the start, over their client's bound and
// over that of all.
func (t *turnedAway) counts() (client, server uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total[0], t.total[1]
}

func (t *turnedAway) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
