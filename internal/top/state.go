package top

import (
	"net/netip"
	"slices"
	"time"

	"sluice/internal/adminclient"
	"sluice/internal/limit"
)

const (
	// historyLength is how many ticks the small curves show at most.
	historyLength = 60
	// keptRefusals is how many refusals stay in the list. A scan makes hundreds a
	// second; the totals by outcome count them all.
	keptRefusals = 256
)

// tunnel is a live transaction and how fast it moves.
type tunnel struct {
	*adminclient.Transaction
	rateUp, rateDown float64 // bytes per second, over the last tick
}

func (t *tunnel) rate() float64 { return t.rateUp + t.rateDown }

// state is what the feed has told. The zero value is a proxy of which nothing is
// known yet.
type state struct {
	known        bool // the feed has begun at least once
	version      string
	started      time.Time
	now          time.Time // the proxy's clock
	maxTunnels   int
	draining     bool
	count        int
	tunnels      map[string]*tunnel
	moving       []*tunnel // those with a rate from the last tick
	refusals     []*adminclient.Transaction
	requests     map[string]int64
	up, down     int64
	rateUp       float64
	rateDown     float64
	historyUp    []float64 // the latest last
	historyDown  []float64
	clients      []adminclient.Share
	destinations []adminclient.Share
	reload       *adminclient.Reload // the last one that was seen
}

// apply takes the next event of the feed.
func (s *state) apply(ev adminclient.Event) {
	switch ev := ev.(type) {
	case *adminclient.Start:
		s.start(ev)
	case *adminclient.Tick:
		s.tick(ev)
	case *adminclient.Reload:
		s.reload = ev
	}
}

// start forgets all that was known but the curves: the proxy is another one, or
// events have been missed.
func (s *state) start(ev *adminclient.Start) {
	*s = state{
		known: true, version: ev.Version, started: ev.Started, now: ev.Time,
		maxTunnels: ev.MaxTunnels, draining: ev.Draining, count: len(ev.Tunnels),
		tunnels:  make(map[string]*tunnel, len(ev.Tunnels)),
		refusals: ev.Refusals, requests: ev.Requests, up: ev.Up, down: ev.Down,
		historyUp: s.historyUp, historyDown: s.historyDown,
	}
	s.open(ev.Tunnels)
}

// open enters tunnels. One that is there already is told anew, with what was not
// known of it before.
func (s *state) open(list []*adminclient.Transaction) {
	for _, t := range list {
		if old := s.tunnels[t.ID]; old != nil {
			old.Transaction = t
			continue
		}
		s.tunnels[t.ID] = &tunnel{Transaction: t}
	}
}

func (s *state) tick(ev *adminclient.Tick) {
	seconds := ev.Time.Sub(s.now).Seconds()
	s.now, s.draining, s.count = ev.Time, ev.Draining, ev.Count
	s.up, s.down, s.rateUp, s.rateDown = ev.Up, ev.Down, ev.RateUp, ev.RateDown
	s.requests, s.clients, s.destinations = ev.Requests, ev.Clients, ev.Destinations
	s.historyUp = remember(s.historyUp, ev.RateUp)
	s.historyDown = remember(s.historyDown, ev.RateDown)

	for _, t := range s.moving {
		t.rateUp, t.rateDown = 0, 0
	}
	s.moving = s.moving[:0]
	s.open(ev.Opened)
	for _, m := range ev.Moved {
		s.move(m, seconds)
	}
	for _, id := range ev.Closed {
		delete(s.tunnels, id)
	}
	if len(ev.Refused) > 0 {
		all := append(append([]*adminclient.Transaction(nil), ev.Refused...), s.refusals...)
		s.refusals = atMost(all, keptRefusals)
	}
}

// atMost returns so many of a list that has the latest first. The client with most of
// them loses its oldest, so that a scan hides nobody else's.
func atMost(list []*adminclient.Transaction, most int) []*adminclient.Transaction {
	of := make(map[netip.Addr][]int) // places in the list, the oldest last
	for i, t := range list {
		key := limit.Key(address(t.Client))
		of[key] = append(of[key], i)
	}
	for range len(list) - most {
		var from netip.Addr
		out := -1
		for key, places := range of {
			if n, m := len(places), len(of[from]); n > m || n == m && places[n-1] > out {
				from, out = key, places[n-1]
			}
		}
		of[from] = of[from][:len(of[from])-1]
		list[out] = nil
	}
	return slices.DeleteFunc(list, func(t *adminclient.Transaction) bool { return t == nil })
}

func (s *state) move(m adminclient.Moved, seconds float64) {
	t := s.tunnels[m.ID]
	if t == nil {
		return // it was closed meanwhile
	}
	if seconds > 0 {
		t.rateUp, t.rateDown = float64(m.Up-t.Up)/seconds, float64(m.Down-t.Down)/seconds
		s.moving = append(s.moving, t)
	}
	t.Up, t.Down = m.Up, m.Down
}

// refused is how many requests came to another outcome than "ok".
func (s *state) refused() int64 {
	var n int64
	for outcome, count := range s.requests {
		if outcome != "ok" {
			n += count
		}
	}
	return n
}

func remember(history []float64, rate float64) []float64 {
	history = append(history, rate)
	return history[max(0, len(history)-historyLength):]
}
