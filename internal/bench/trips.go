//go:build linux

package main

import (
	"fmt"
	"time"

	"sluice/internal/bench/ends"
	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// trips: small messages to and fro.
func trips(b *bench) (result, error) {
	all, stop, err := b.startAll(b.peers, nil)
	if err != nil {
		return result{}, err
	}
	defer stop()
	res := result{title: "Round trips of 256 bytes"}
	for _, n := range []int{1, 64} {
		work := fmt.Sprintf("%d %s", n, plural(n, "tunnel"))
		lines := []*report.Line{
			{Work: work + ": CPU each", Unit: "µs"},
			{Work: work + ": p50", Unit: "µs"},
			{Work: work + ": p99", Unit: "µs"},
		}
		err := b.alternate(lines, b.peers, func(p peers.Peer) ([]float64, error) {
			r, err := all.of(p)
			if err != nil {
				return nil, err
			}
			return b.trips(r, n)
		})
		if err != nil {
			return res, err
		}
		for _, l := range lines {
			l.AgainstLowest(b.peers[us].Name, namesOf(b.peers[other:]), 1, false)
		}
		res.lines = append(res.lines, lines...)
	}
	return res, nil
}

// trips returns CPU, p50 and p99 of round trips through n tunnels at once.
func (b *bench) trips(r *peers.Process, n int) ([]float64, error) {
	l, err := b.clients.Trips(via(r), n)
	if err != nil {
		return nil, err
	}
	defer b.settle(r)
	defer l.Close()
	time.Sleep(b.sizes.settle)
	l.Reset()
	s, err := measure(r, l.Total, b.window, 0)
	if err != nil {
		return nil, err
	}
	took := micros(l.Times())
	return []float64{s.each(), report.Quantile(took, 0.5), report.Quantile(took, 0.99)}, nil
}

// micros turns times into microseconds.
func micros(times []time.Duration) []float64 {
	list := make([]float64, len(times))
	for i, t := range times {
		list[i] = float64(t) / float64(time.Microsecond)
	}
	return list
}

// parallel is how many short tunnels there are at a time.
const parallel = 32

// connect: tunnels that are opened, used once, and closed.
func connect(b *bench) (result, error) {
	all, stop, err := b.startAll(b.peers, nil)
	if err != nil {
		return result{}, err
	}
	defer stop()
	res := result{title: fmt.Sprintf("Open, one round trip, close; %d in parallel", parallel)}
	name := b.peers[us].Name
	for _, proto := range []ends.Protocol{ends.Connect, ends.Socks5} {
		cost := &report.Line{Work: proto.String() + ": CPU each", Unit: "µs"}
		rate := &report.Line{Work: proto.String() + ": rate", Unit: "per second"}
		lines := []*report.Line{cost, rate}
		var able []peers.Peer
		for _, p := range b.peers {
			if speaks(p, proto) || proto == ends.Connect && speaks(p, ends.Plain) {
				able = append(able, p)
				continue
			}
			for _, l := range lines {
				l.Lack(p.Name, "no "+proto.String())
			}
		}
		err := b.alternate(lines, able, func(p peers.Peer) ([]float64, error) {
			r, err := all.of(p)
			if err != nil {
				return nil, err
			}
			return b.short(r, proto)
		})
		if err != nil {
			return res, err
		}
		if proto == ends.Connect {
			cost.Against(name, "Squid", 0.4)
			cost.Against(name, "HAProxy", 0)
		} else {
			cost.Against(name, "microsocks", 1)
		}
		res.lines = append(res.lines, lines...)
	}
	res.notes = append(res.notes, "The floor and HAProxy take no handshake: the client connects, and that is all.")
	return res, nil
}

func speaks(p peers.Peer, proto ends.Protocol) bool {
	for _, s := range p.Speaks {
		if s == proto {
			return true
		}
	}
	return false
}

// short returns CPU each, and how many in a second.
func (b *bench) short(r *peers.Process, proto ends.Protocol) ([]float64, error) {
	v := via(r)
	if speaks(r.Peer, proto) {
		v.Protocol = proto
	}
	c, err := b.clients.Short(v, parallel)
	if err != nil {
		return nil, err
	}
	defer b.settle(r)
	defer c.Close()
	time.Sleep(b.sizes.settle)
	s, err := measure(r, c.Done, b.window, 0)
	if n, why := c.Failed(); n > 0 {
		err = fmt.Errorf("%d tunnels did not open, one of them: %w", n, why)
	}
	return []float64{s.each(), s.rate()}, err
}
