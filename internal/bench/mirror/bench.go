//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// bench is everything that rows work with.
type bench struct {
	options
	log      io.Writer
	dir      string
	upstream *upstream
	mirrors  []peers.Peer
	running  peers.Running
}

func newBench(o options, dir string, log io.Writer) (*bench, error) {
	u, err := newUpstream(o.layer)
	if err != nil {
		return nil, err
	}
	return &bench{
		options: o, log: log, dir: dir, upstream: u,
		mirrors: mirrors(filepath.Join(dir, builtMirror)),
	}, nil
}

// close ends everything that runs, from wherever the rows are.
func (b *bench) close() {
	b.upstream.close()
	b.running.Close()
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// start runs a mirror with an empty cache. What is returned ends it, and removes that.
func (b *bench) start(p peers.Peer) (*peers.Process, func(), error) {
	dir, err := os.MkdirTemp(b.dir, "mirror-")
	if err != nil {
		return nil, nil, err
	}
	port, err := peers.FreePort()
	if err != nil {
		return nil, nil, err
	}
	r, err := b.running.Start(p, peers.Setup{Dir: dir, Port: port, Origin: b.upstream.port})
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		b.running.Stop(r)
		os.RemoveAll(dir)
	}
	if err := r.Wait(20 * time.Second); err != nil {
		stop()
		return nil, nil, err
	}
	return r, stop, nil
}

// alternate measures the mirrors in turn, round by round. What measure returns has a
// figure for each line.
func (b *bench) alternate(lines []*report.Line, measure func(peers.Peer) ([]float64, error)) error {
	for round := range b.rounds {
		for _, p := range b.mirrors {
			figures, err := measure(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			for i, l := range lines {
				l.Add(p.Name, figures[i])
				b.say("round %d/%d  %s  %s: %s %s", round+1, b.rounds, l.Work, p.Name, report.Number(figures[i]), l.Unit)
			}
		}
	}
	return nil
}

// span is what a mirror did in some time.
type span struct {
	cpu     time.Duration
	took    time.Duration
	fetched int64 // bytes, from the upstream
}

// during watches a mirror while clients do something, and until it is done with that.
func (b *bench) during(r *peers.Process, do func() error) (span, error) {
	before, err := r.CPU()
	if err != nil {
		return span{}, err
	}
	sent, begun := b.upstream.sent.Load(), time.Now()
	if err := do(); err != nil {
		return span{}, err
	}
	s := span{took: time.Since(begun)}
	settle(r)
	after, err := r.CPU()
	s.cpu, s.fetched = after-before, b.upstream.sent.Load()-sent
	return s, err
}

// settle waits until a mirror is done with what it does behind its clients' backs.
func settle(r *peers.Process) {
	const pause, idle, limit = 50 * time.Millisecond, time.Millisecond, 10 * time.Second
	last, _ := r.CPU()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		time.Sleep(pause)
		now, err := r.CPU()
		if err != nil || now-last < idle {
			return
		}
		last = now
	}
}

// perGB is CPU seconds per 10⁹ bytes.
func (s span) perGB(delivered int64) float64 { return s.cpu.Seconds() / (float64(delivered) / 1e9) }

// speed is 10⁹ bytes per second.
func (s span) speed(delivered int64) float64 { return float64(delivered) / 1e9 / s.took.Seconds() }
