//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"sluice/internal/bench/ends"
	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// sizes are how much is measured.
type sizes struct {
	rounds     int
	settle     time.Duration // before a window
	busySettle time.Duration // before one with very many tunnels, whose buffers fill slowly
	window     time.Duration // of busy work
	busy       int           // tunnels of the unprivileged row
	limited    time.Duration // that a limit is measured for
	idle       int           // tunnels
	hold       time.Duration // of idle tunnels
	quiet      time.Duration // of a quiet client's round trips
	cidrs      int           // of the large set of rules
	names      int
}

func usual() sizes {
	return sizes{
		rounds: 5, settle: 300 * time.Millisecond, busySettle: time.Second, window: time.Second, busy: 200,
		limited: 10 * time.Second, idle: 5000, hold: 10 * time.Second, quiet: 2 * time.Second,
		cidrs: 100_000, names: 1_000_000,
	}
}

func small() sizes {
	return sizes{
		rounds: 2, settle: 200 * time.Millisecond, busySettle: time.Second, window: 300 * time.Millisecond, busy: 200,
		limited: 2 * time.Second, idle: 1000, hold: time.Second, quiet: time.Second,
		cidrs: 100_000, names: 1_000_000,
	}
}

// bench is everything that rows work with.
type bench struct {
	options
	log     io.Writer
	dir     string
	files   uint64       // RLIMIT_NOFILE, of the proxies too
	peers   []peers.Peer // Sluice, the floor, and the others
	origin  *ends.Origin
	clients *ends.Clients
	running peers.Running
}

// Which of bench.peers is which.
const (
	us    = 0
	floor = 1
	other = 2 // and those after it
)

// result is what a row measured.
type result struct {
	title string
	lines []*report.Line
	notes []string
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// namesOf lists the names of the peers given.
func namesOf(list []peers.Peer) []string {
	var all []string
	for _, p := range list {
		all = append(all, p.Name)
	}
	return all
}

// setup prepares a directory and a port for a peer.
func (b *bench) setup() (peers.Setup, error) {
	dir, err := os.MkdirTemp(b.dir, "peer-")
	if err != nil {
		return peers.Setup{}, err
	}
	port, err := peers.FreePort()
	return peers.Setup{Dir: dir, Port: port, Origin: b.origin.Port()}, err
}

// startTime is what a proxy gets until it listens.
const startTime = 20 * time.Second

// start runs a peer until the caller stops it.
func (b *bench) start(p peers.Peer, change func(*peers.Setup)) (*peers.Process, error) {
	s, err := b.setup()
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&s)
	}
	r, err := b.running.Start(p, s)
	if err != nil {
		return nil, err
	}
	if err := r.Wait(startTime); err != nil {
		b.running.Stop(r)
		return nil, err
	}
	// What is done once for the first tunnel is done now.
	if err := b.clients.Once(via(r)); err != nil {
		b.running.Stop(r)
		return nil, fmt.Errorf("%s: the first tunnel: %w", p.Name, err)
	}
	return r, nil
}

// fleet is one process of each of several peers, or why there is none.
type fleet map[string]member

type member struct {
	process *peers.Process
	err     error
}

func (f fleet) of(p peers.Peer) (*peers.Process, error) { return f[p.Name].process, f[p.Name].err }

// startAll runs peers. The caller stops them all. Without Sluice it is an error.
func (b *bench) startAll(list []peers.Peer, change func(*peers.Setup)) (f fleet, stop func(), err error) {
	f = make(fleet)
	stop = func() {
		for _, m := range f {
			if m.err == nil {
				b.running.Stop(m.process)
			}
		}
	}
	for _, p := range list {
		r, err := b.start(p, change)
		if err != nil && p.Name == b.peers[us].Name {
			stop()
			return nil, nil, err
		}
		f[p.Name] = member{r, err}
	}
	return f, stop, nil
}

// via is how clients reach a peer.
func via(r *peers.Process) ends.Via { return ends.Via{Port: r.Port, Protocol: r.Speaks[0]} }

// alternate measures the peers in turn, round by round. What measure returns has
// a figure for each line. A peer that fails loses its figures, and the lines
// tell why; when Sluice fails, so does the row.
func (b *bench) alternate(lines []*report.Line, list []peers.Peer, measure func(peers.Peer) ([]float64, error)) error {
	failed := make(map[string]bool)
	for round := range b.rounds {
		for _, p := range list {
			if failed[p.Name] {
				continue
			}
			figures, err := measure(p)
			if err != nil {
				if p.Name == b.peers[us].Name {
					return err
				}
				failed[p.Name] = true
				b.say("%s: %s: %v", lines[0].Work, p.Name, err)
			}
			for i, l := range lines {
				if err != nil {
					delete(l.Figures, p.Name)
					l.Lack(p.Name, err.Error())
					continue
				}
				l.Add(p.Name, figures[i])
				b.say("round %d/%d  %s  %s: %s %s", round+1, b.rounds, l.Work, p.Name, report.Number(figures[i]), l.Unit)
			}
		}
	}
	return nil
}

// span is what a peer did in some time.
type span struct {
	cpu  time.Duration
	done int64 // bytes, round trips, tunnels
	took time.Duration
}

// measure watches a peer for a time, or until enough is done.
func measure(r *peers.Process, done func() int64, window time.Duration, enough int64) (span, error) {
	cpu, err := r.CPU()
	if err != nil {
		return span{}, err
	}
	begun, base := time.Now(), done()
	for time.Since(begun) < window && (enough == 0 || done()-base < enough) {
		if enough == 0 {
			time.Sleep(window)
		} else {
			time.Sleep(2 * time.Millisecond)
		}
	}
	s := span{done: done() - base, took: time.Since(begun)}
	after, err := r.CPU()
	if err != nil {
		return span{}, err
	}
	s.cpu = after - cpu
	if s.done == 0 {
		return s, fmt.Errorf("nothing was done in %v", s.took)
	}
	return s, nil
}

// perGB is CPU seconds per 10⁹ bytes.
func (s span) perGB() float64 { return s.cpu.Seconds() / (float64(s.done) / 1e9) }

// each is CPU microseconds for each thing done.
func (s span) each() float64 { return s.cpu.Seconds() * 1e6 / float64(s.done) }

// rate is how much was done in a second.
func (s span) rate() float64 { return float64(s.done) / s.took.Seconds() }
