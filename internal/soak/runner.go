//go:build linux

package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// runner is one soak.
type runner struct {
	options
	dir     string
	noise   *noise
	book    book
	names   *nameServer
	origins *origins
	proxy   *proxy
	fresh   map[string]int // descriptors at the beginning

	tunnelKinds, httpKinds []*kind

	stopped chan struct{} // closed when the load ends
	wg      sync.WaitGroup

	floods, slowed, slow, garbled, abandoned, unmet atomic.Int64
	rotations, reloads, starved                     int

	mu      sync.Mutex
	famines []*famine
	broken  []error // what the load itself could not do
}

// famine is a time in which Sluice had no descriptors left; to is zero while it
// lasts.
type famine struct{ from, to time.Time }

func newSoak(o options, dir string) (*runner, error) {
	s := &runner{options: o, dir: dir, noise: newNoise(), tunnelKinds: tunnelKinds(), httpKinds: httpKinds(), stopped: make(chan struct{})}
	var err error
	if s.names, err = serveNames(); err != nil {
		return nil, err
	}
	if s.origins, err = serveOrigins(&s.book, s.noise); err != nil {
		s.close()
		return nil, err
	}
	listener, err := configure(dir, s.names.addr, s.origins)
	if err == nil {
		s.proxy, err = startProxy(dir, "sluice.log", listener)
	}
	if err == nil {
		time.Sleep(200 * time.Millisecond) // the connection that tried it is closed
		s.fresh, err = s.proxy.descriptors()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends everything that newSoak began.
func (s *runner) close() {
	if s.proxy != nil {
		s.proxy.kill()
	}
	if s.origins != nil {
		s.origins.close()
	}
	s.names.close()
}

// load runs until its time is over or a signal comes, and until all clients are
// done.
func (s *runner) load(stop <-chan os.Signal) {
	for i := range s.workers {
		r := s.rand(i)
		s.wg.Go(func() {
			for !s.ending() {
				s.work(r)
				s.rest(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
			}
		})
	}
	s.attack()
	s.wg.Go(s.rotate)
	s.wg.Go(s.reload)
	s.wg.Go(s.famine)
	select {
	case <-stop:
	case <-time.After(s.time):
	case <-s.proxy.exited:
		s.note(errors.New("sluice has ended"))
	}
	close(s.stopped)
	s.wg.Wait()
}

func (s *runner) rand(i int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(i))) }

func (s *runner) ending() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// rest waits, but not beyond the end of the load.
func (s *runner) rest(d time.Duration) {
	select {
	case <-s.stopped:
	case <-time.After(d):
	}
}

func (s *runner) note(err error) {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken = append(s.broken, err)
	}
}

// work is one connection of one client.
func (s *runner) work(r *rand.Rand) {
	from := ordinary
	if r.IntN(10) == 0 {
		from = slowed
	}
	switch n := r.IntN(10); {
	case n < 2:
		s.runHTTP(from.any(r), r)
	case n < 6:
		s.runTunnel(s.begin(pick(s.tunnelKinds, r), bySOCKS5, r), from.any(r), r)
	default:
		s.runTunnel(s.begin(pick(s.tunnelKinds, r), byCONNECT, r), from.any(r), r)
	}
}

// begin enters a tunnel with its sizes, many of them small.
func (s *runner) begin(k *kind, w way, r *rand.Rand) *tunnel {
	size := func(most int64) int64 {
		if most == 0 {
			return 0
		}
		f := r.Float64()
		n := int64(f * f * f * float64(most))
		if k.ending == cut {
			return max(n, 1000) // so that there is something to cut off
		}
		return n
	}
	up, down := size(k.up), size(k.down)
	if w == byHTTP && r.IntN(2) == 0 {
		up = 0
	}
	return s.book.open(k, w, up, down)
}

// pick chooses one of the kinds by their weights.
func pick(list []*kind, r *rand.Rand) *kind {
	sum := 0
	for _, k := range list {
		sum += k.weight
	}
	n := r.IntN(sum)
	for _, k := range list {
		if n -= k.weight; n < 0 {
			return k
		}
	}
	return list[len(list)-1]
}

// rotate rotates the log now and then.
func (s *runner) rotate() {
	for {
		s.rest(5 * time.Second)
		if s.ending() {
			return
		}
		s.note(s.proxy.rotate())
		s.rotations++
	}
}

// reload changes the configuration now and then, and in the end back to what it was.
func (s *runner) reload() {
	for !s.ending() {
		s.note(s.proxy.reload())
		s.reloads++
		s.rest(3 * time.Second)
	}
	s.note(s.proxy.restore())
}

// famine takes descriptors away now and then.
func (s *runner) famine() {
	r := s.rand(-2)
	for {
		s.rest(time.Duration(8+r.IntN(8)) * time.Second)
		if s.ending() {
			return
		}
		f := &famine{from: time.Now()}
		s.mu.Lock()
		s.famines = append(s.famines, f)
		s.mu.Unlock()
		restore, err := s.proxy.starve(r.IntN(8))
		if err != nil {
			s.note(err)
			return
		}
		s.rest(time.Duration(500+r.IntN(2000)) * time.Millisecond)
		s.note(restore())
		s.mu.Lock()
		f.to = time.Now()
		s.mu.Unlock()
		s.starved++
	}
}

// afterFamine is how long after it something may be owed to it: the longest pause
// of accept is 1 s, and a dial may have waited for a look-up before.
const afterFamine = dialTime + 2*time.Second

// inFamine tells whether a time has to do with a lack of descriptors.
func (s *runner) inFamine(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.famines {
		if to.After(f.from) && (f.to.IsZero() || from.Before(f.to.Add(afterFamine))) {
			return true
		}
	}
	return false
}

// lateBy tells whether something that just took d met a famine.
func (s *runner) lateBy(d time.Duration) bool {
	now := time.Now()
	return s.inFamine(now.Add(-d), now)
}
