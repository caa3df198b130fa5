//go:build linux

package main

import (
	"fmt"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// relay: what it costs to move bytes.
func relay(b *bench) (result, error) {
	all, stop, err := b.startAll(b.peers, nil)
	if err != nil {
		return result{}, err
	}
	defer stop()
	res := result{title: "Relaying"}
	for _, way := range []string{"down", "up"} {
		for _, n := range []int{1, 8, 64} {
			cost := &report.Line{Work: fmt.Sprintf("%d %s, %s", n, plural(n, "tunnel"), way), Unit: "CPU s/GB"}
			speed := &report.Line{Work: cost.Work, Unit: "GB/s"}
			err := b.alternate([]*report.Line{cost, speed}, b.peers, func(p peers.Peer) ([]float64, error) {
				r, err := all.of(p)
				if err != nil {
					return nil, err
				}
				s, err := b.bulk(r, n, way, b.sizes.settle)
				return []float64{s.perGB(), s.rate() / 1e9}, err
			})
			if err != nil {
				return res, err
			}
			cost.Against(b.peers[us].Name, b.peers[floor].Name, 1.10)
			cost.AgainstLowest(b.peers[us].Name, namesOf(b.peers[other:]), 1, true)
			res.lines = append(res.lines, cost, speed)
		}
	}
	return res, nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// bulk keeps n tunnels busy one way and measures the proxy.
func (b *bench) bulk(r *peers.Process, n int, way string, settle time.Duration) (span, error) {
	open := b.clients.Download
	if way == "up" {
		open = b.clients.Upload
	}
	l, err := open(via(r), n)
	if err != nil {
		return span{}, err
	}
	defer b.settle(r)
	defer l.Close()
	time.Sleep(settle)
	return measure(r, l.Total, b.window, 0)
}

// settle waits until a proxy is done with the tunnels of a measurement that is
// over: the next one shall not have to share the machine with it.
func (b *bench) settle(r *peers.Process) {
	const pause, idle, limit = 20 * time.Millisecond, time.Millisecond, time.Second
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

// unprivileged: many busy tunnels, when pipes are scarce (pipe(7),
// pipe-user-pages-soft) and when they are not.
func unprivileged(b *bench) (result, error) {
	res := result{title: fmt.Sprintf("%d busy tunnels, without privilege", b.busy)}
	nobody := &report.Line{Work: "as nobody, without capabilities", Unit: "CPU s/GB"}
	root := &report.Line{Work: "as root", Unit: "CPU s/GB"}
	var able []peers.Peer
	for _, p := range b.peers {
		if p.NeverRoot {
			nobody.Lack(p.Name, "is not run as root")
			root.Lack(p.Name, "is not run as root")
			continue
		}
		able = append(able, p)
	}
	without, stop, err := b.startAll(able, func(s *peers.Setup) { s.Unprivileged = true })
	if err != nil {
		return res, err
	}
	defer stop()
	with, stop, err := b.startAll(able, nil)
	if err != nil {
		return res, err
	}
	defer stop()
	err = b.alternate([]*report.Line{nobody, root}, able, func(p peers.Peer) ([]float64, error) {
		var figures []float64
		for _, f := range []fleet{without, with} {
			r, err := f.of(p)
			if err != nil {
				return nil, err
			}
			s, err := b.bulk(r, b.busy, "down", b.busySettle)
			if err != nil {
				return nil, err
			}
			figures = append(figures, s.perGB())
		}
		return figures, nil
	})
	if err != nil {
		return res, err
	}
	name := b.peers[us].Name
	nobody.Goals = append(nobody.Goals, report.Goal{Against: "as root", AtMost: 1.15,
		Ratios: report.Ratios(nobody.Figures[name], root.Figures[name])})
	nobody.AgainstLowest(name, namesOf(b.peers[other:]), 0, false)
	res.lines = append(res.lines, nobody, root)
	return res, nil
}
