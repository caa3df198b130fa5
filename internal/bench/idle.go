//go:build linux

package main

import (
	"fmt"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// idle: what a tunnel holds that carries nothing.
func idle(b *bench) (result, error) {
	res := result{title: fmt.Sprintf("%d idle tunnels, held for %v", b.sizes.idle, b.hold)}
	pss := &report.Line{Work: "process memory (PSS) of each", Unit: "KiB"}
	fds := &report.Line{Work: "descriptors of each"}
	pipes := &report.Line{Work: "of them pipes"}
	slab := &report.Line{Work: "kernel memory of each, slab", Unit: "KiB"}
	rest := &report.Line{Work: "kernel memory of each, stacks and page tables", Unit: "KiB"}
	res.lines = []*report.Line{pss, fds, pipes, slab, rest}
	for _, p := range b.peers {
		if n := b.room(p); n < b.sizes.idle {
			res.notes = append(res.notes, fmt.Sprintf("%s: %d tunnels only, for each takes %d descriptors and RLIMIT_NOFILE is %d.",
				p.Name, n, p.Descriptors, b.files))
		}
	}
	err := b.alternate(res.lines, b.peers, b.heldBy)
	if err != nil {
		return res, err
	}
	name := b.peers[us].Name
	pss.AgainstLowest(name, namesOf(b.peers[other:]), 1, true)
	fds.AgainstFixed(name, 2, "2")
	fds.Goals[0].AtMost = 1.01 // what the process itself opens meanwhile
	pipes.AgainstFixed(name, 1, "one each")
	pipes.Goals[0].AtMost = 0.01
	slab.Against(name, "HAProxy", 1.1)
	res.notes = append(res.notes, "Slab includes both ends' sockets, which are on this machine: the same for all.")
	return res, nil
}

// room is how many tunnels a peer has descriptors for.
func (b *bench) room(p peers.Peer) int {
	const forItself = 200
	return min(b.sizes.idle, (int(b.files)-forItself)/p.Descriptors)
}

// heldBy returns what each idle tunnel adds to a fresh process.
func (b *bench) heldBy(p peers.Peer) ([]float64, error) {
	r, err := b.start(p, nil)
	if err != nil {
		return nil, err
	}
	defer b.running.Stop(r)
	before, beforeKernel, err := b.quietUsage(r)
	if err != nil {
		return nil, err
	}
	n := b.room(p)
	l, err := b.clients.Idle(via(r), n)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	time.Sleep(b.hold)
	after, err := r.Usage()
	if err != nil {
		return nil, err
	}
	afterKernel, err := peers.KernelMemory()
	if err != nil {
		return nil, err
	}
	if lost := l.Total(); lost > 0 {
		return nil, fmt.Errorf("%d of %d idle tunnels were closed", lost, n)
	}
	each := func(v int64) float64 { return float64(v) / float64(n) }
	return []float64{
		each(after.PSS-before.PSS) / 1024,
		each(int64(after.Descriptors - before.Descriptors)),
		each(int64(after.Pipes - before.Pipes)),
		each(afterKernel.Slab-beforeKernel.Slab) / 1024,
		each(afterKernel.Other-beforeKernel.Other) / 1024,
	}, nil
}

// quietUsage waits until the kernel has taken back what an earlier measurement
// left, which it does after a grace period, and reads what a peer holds.
func (b *bench) quietUsage(r *peers.Process) (peers.Usage, peers.Kernel, error) {
	const pause, still, limit = 300 * time.Millisecond, 512 << 10, 5 * time.Second
	last, err := peers.KernelMemory()
	for end := time.Now().Add(limit); err == nil && time.Now().Before(end); {
		time.Sleep(pause)
		var now peers.Kernel
		now, err = peers.KernelMemory()
		moved := now.Slab - last.Slab
		last = now
		if max(moved, -moved) < still {
			break
		}
	}
	if err != nil {
		return peers.Usage{}, last, err
	}
	u, err := r.Usage()
	return u, last, err
}
