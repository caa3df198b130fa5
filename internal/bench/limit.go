//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"sluice/internal/bench/ends"
	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// The limit row's rate, in bytes per second, and how many tunnels share it.
const (
	limitRate    = 100_000_000
	limitTunnels = 8
)

// limit: what a limit that bites costs, how exact it is, and how fair.
func limit(b *bench) (result, error) {
	res := result{title: fmt.Sprintf("A limit of %d MB/s for one client, %d tunnels down", limitRate/1_000_000, limitTunnels)}
	limited := &report.Line{Work: "limited", Unit: "CPU s/GB"}
	free := &report.Line{Work: "unlimited, as many bytes", Unit: "CPU s/GB"}
	rate := &report.Line{Work: fmt.Sprintf("rate over %v", b.limited), Unit: "MB/s"}
	off := &report.Line{Work: "off the limit by", Unit: "%"}
	fair := &report.Line{Work: "tunnel with the most bytes, of the one with the least"}
	res.lines = []*report.Line{limited, free, rate, off, fair}
	able := b.limiting(res.lines...)
	with, without, stop, err := b.startLimited(able, peers.Limit{Rate: limitRate})
	if err != nil {
		return res, err
	}
	defer stop()
	err = b.alternate(res.lines, able, func(p peers.Peer) ([]float64, error) {
		limited, err := with.of(p)
		if err != nil {
			return nil, err
		}
		free, err := without.of(p)
		if err != nil {
			return nil, err
		}
		s, most, err := b.shared(limited, b.limited, 0)
		if err != nil {
			return nil, err
		}
		u, _, err := b.shared(free, time.Minute, s.done)
		apart := 100 * (s.rate() - limitRate) / limitRate
		return []float64{s.perGB(), u.perGB(), s.rate() / 1e6, max(apart, -apart), most}, err
	})
	if err != nil {
		return res, err
	}
	name := b.peers[us].Name
	limited.Goals = append(limited.Goals, report.Goal{Against: "unlimited", AtMost: 1.25,
		Ratios: report.Ratios(limited.Figures[name], free.Figures[name])})
	off.AgainstFixed(name, 2, "2 %")
	fair.AgainstFixed(name, 1.1, "1.1")
	return res, nil
}

// limiting returns the peers that can limit a client; the lines tell of the
// others.
func (b *bench) limiting(lines ...*report.Line) []peers.Peer {
	var able []peers.Peer
	for _, p := range b.peers {
		if p.NoLimits == "" {
			able = append(able, p)
			continue
		}
		for _, l := range lines {
			l.Lack(p.Name, p.NoLimits)
		}
	}
	return able
}

// startLimited runs peers twice: with a limit and without.
func (b *bench) startLimited(list []peers.Peer, l peers.Limit) (with, without fleet, stop func(), err error) {
	with, stopWith, err := b.startAll(list, func(s *peers.Setup) { s.Limit = l })
	if err != nil {
		return nil, nil, nil, err
	}
	without, stopWithout, err := b.startAll(list, nil)
	if err != nil {
		stopWith()
		return nil, nil, nil, err
	}
	return with, without, func() { stopWith(); stopWithout() }, nil
}

// shared keeps the tunnels of one client busy, measures the proxy, and compares
// the tunnel that got the most with the one that got the least.
func (b *bench) shared(r *peers.Process, window time.Duration, enough int64) (span, float64, error) {
	l, err := b.clients.Download(via(r), limitTunnels)
	if err != nil {
		return span{}, 0, err
	}
	defer b.settle(r)
	defer l.Close()
	time.Sleep(2 * b.sizes.settle) // the burst is over, and buffers are full
	before := l.Each()
	s, err := measure(r, l.Total, window, enough)
	if err != nil {
		return s, 0, err
	}
	got := l.Each()
	for i := range got {
		got[i] -= before[i]
	}
	return s, float64(slices.Max(got)) / float64(max(1, slices.Min(got))), nil
}

// The quiet row's other client.
var noisy = [4]byte{127, 0, 0, 2}

const (
	noisyAddress = "127.0.0.2"
	noisyRate    = 10_000_000 // bytes per second, when it is limited
	noisyTunnels = 64
)

// quiet: how long a client waits while another one takes all it can get.
func quiet(b *bench) (result, error) {
	res := result{title: fmt.Sprintf("A quiet client beside another with %d tunnels down", noisyTunnels)}
	free := &report.Line{Work: "p99 of its round trips, the other unlimited", Unit: "µs"}
	limited := &report.Line{Work: fmt.Sprintf("p99, the other limited to %d MB/s", noisyRate/1_000_000), Unit: "µs"}
	able := b.limiting(limited)
	var unable []peers.Peer
	for _, p := range b.peers {
		if p.NoLimits != "" {
			unable = append(unable, p)
		}
	}
	with, without, stop, err := b.startLimited(able, peers.Limit{Rate: noisyRate, Client: noisyAddress})
	if err != nil {
		return res, err
	}
	defer stop()
	rest, stopRest, err := b.startAll(unable, nil)
	if err != nil {
		return res, err
	}
	defer stopRest()
	err = b.alternate([]*report.Line{free, limited}, able, func(p peers.Peer) ([]float64, error) {
		f, err := b.beside(without, p)
		if err != nil {
			return nil, err
		}
		l, err := b.beside(with, p)
		return []float64{f, l}, err
	})
	if err != nil {
		return res, err
	}
	err = b.alternate([]*report.Line{free}, unable, func(p peers.Peer) ([]float64, error) {
		f, err := b.beside(rest, p)
		return []float64{f}, err
	})
	name := b.peers[us].Name
	free.Goals = append(free.Goals, report.Goal{Against: "the other limited", AtMost: 2,
		Ratios: report.Ratios(free.Figures[name], limited.Figures[name])})
	free.AgainstLowest(name, namesOf(b.peers[other:]), 0, false)
	res.lines = append(res.lines, free, limited)
	return res, err
}

// beside returns the 99th percentile of a quiet client's round trips, in
// microseconds, while another client is busy.
func (b *bench) beside(f fleet, p peers.Peer) (float64, error) {
	r, err := f.of(p)
	if err != nil {
		return 0, err
	}
	v := via(r)
	v.Source = noisy
	l, err := b.clients.Download(v, noisyTunnels)
	if err != nil {
		return 0, err
	}
	defer b.settle(r)
	defer l.Close()
	time.Sleep(b.sizes.settle)
	took, err := b.clients.Quiet(ends.Via{Port: v.Port, Protocol: v.Protocol}, time.Millisecond, b.sizes.quiet)
	return report.Quantile(micros(took), 0.99), err
}
