package accesslog

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sluice/internal/track"
)

// Interim has records of the progress of long tunnels and requests written. Each
// leaves its first when it is between one and two intervals old, and then one in
// each interval. All are spread over the interval, by their identifiers, so that
// however many there are do not crowd other records out of the log's queue.
type Interim struct {
	live    *track.Table
	write   func(*track.Record)
	changes chan time.Duration
	quit    chan struct{}
	stop    sync.Once
	ended   chan struct{}

	entries []track.Entry
	turns   []turn
}

// turn is when in an interval a transaction's record is written.
type turn struct {
	id track.ID
	at time.Duration
}

// interimSteps is in how many steps an interval is gone through. With the least
// interval that the configuration takes, and as many tunnels as a proxy has by
// default, some 200 records are written in each.
const interimSteps = 100

// StartInterim starts to have records written in each interval; 0: none, and
// nothing is done. Stop it at the end, before the log that write belongs to.
func StartInterim(live *track.Table, write func(*track.Record), every time.Duration) *Interim {
	i := &Interim{
		live: live, write: write,
		changes: make(chan time.Duration), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go i.run(every)
	return i
}

// Change sets another interval, which begins at once.
func (i *Interim) Change(every time.Duration) {
	select {
	case i.changes <- every:
	case <-i.ended:
	}
}

// Stop ends it, and waits until a record that is being prepared is written.
func (i *Interim) Stop() {
	i.stop.Do(func() { close(i.quit) })
	<-i.ended
}

func (i *Interim) run(every time.Duration) {
	defer close(i.ended)
	for {
		if every > 0 {
			i.plan(every)
			if i.interval(&every) {
				return
			}
			continue
		}
		select {
		case every = <-i.changes:
		case <-i.quit:
			return
		}
	}
}

// plan gives all that is live its turn in the interval to come.
func (i *Interim) plan(every time.Duration) {
	i.entries, i.turns = i.live.Entries(i.entries[:0]), i.turns[:0]
	for _, e := range i.entries {
		// Identifiers are numbered; the golden ratio's multiples lie evenly between 0
		// and 1 (Knuth, The Art of Computer Programming, volume 3, section 6.4).
		fraction := uint64(e.ID) * 0x9e3779b97f4a7c15 >> 32
		i.turns = append(i.turns, turn{e.ID, time.Duration(float64(every) * float64(fraction) / (1 << 32))})
	}
	clear(i.entries) // what ends in between is not kept
	slices.SortFunc(i.turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
}

// interval writes what is planned, each in its turn. It returns at the interval's
// end, when another one is set, and, with true, when it is to quit.
func (i *Interim) interval(every *time.Duration) (quit bool) {
	begin := time.Now()
	ticks := time.NewTicker(max(*every/interimSteps, time.Millisecond))
	defer ticks.Stop()
	for turns := i.turns; ; {
		select {
		case *every = <-i.changes:
			return false
		case <-i.quit:
			return true
		case <-ticks.C:
		}
		past := time.Since(begin)
		for len(turns) > 0 && turns[0].at <= past {
			i.progress(turns[0].id, *every)
			turns = turns[1:]
		}
		if past >= *every {
			return false
		}
	}
}

// progress writes one record, unless its transaction has ended, is too young, or
// has reached no destination yet.
func (i *Interim) progress(id track.ID, every time.Duration) {
	l := i.live.Get(id)
	if l == nil {
		return
	}
	if r := l.Snapshot(); r.Total >= every && r.Address.IsValid() {
		i.write(&r)
	}
}
