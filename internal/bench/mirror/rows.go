//go:build linux

package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// row is one kind of work, by the name that -row takes.
type row struct {
	name    string
	title   string
	measure func(*bench) ([]*report.Line, error)
}

// Name is for -row.
func (r row) Name() string { return r.name }

func rows() []row {
	return []row{
		{"cold", "First pulls, with nothing cached", cold},
		{"warm", "Pulls of what is cached", warm},
		{"tags", "Manifests by tag, cached", tags},
	}
}

// crowds are numbers of clients that pull at once.
func crowds() []int { return []int{1, 16} }

func crowd(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

const mib = 1 << 20

// cold: clients that pull at once what the mirror does not have, from a fresh process.
func cold(b *bench) ([]*report.Line, error) {
	rest := &report.Line{Work: "memory (PSS) of a fresh process", Unit: "MiB"}
	var all []*report.Line
	for _, n := range crowds() {
		cost := &report.Line{Work: crowd(n) + ": CPU", Unit: "s/GB delivered"}
		speed := &report.Line{Work: crowd(n) + ": delivered", Unit: "GB/s"}
		fetched := &report.Line{Work: crowd(n) + ": fetched from the upstream", Unit: "times the image"}
		peak := &report.Line{Work: crowd(n) + ": memory (RSS) at most", Unit: "MiB"}
		lines := []*report.Line{cost, speed, fetched, peak}
		if n == 1 {
			lines = append(lines, rest)
		}
		if err := b.alternate(lines, func(p peers.Peer) ([]float64, error) { return b.cold(p, n) }); err != nil {
			return nil, err
		}
		cost.Against(us, them, 1)
		speed.Against(us, them, 0)
		fetched.Against(us, them, 1)
		peak.Against(us, them, 1)
		all = append(all, lines[:4]...)
	}
	rest.Against(us, them, 0)
	return append(all, rest), nil
}

func (b *bench) cold(p peers.Peer, n int) ([]float64, error) {
	r, stop, err := b.start(p)
	if err != nil {
		return nil, err
	}
	defer stop()
	settle(r)
	rest, err := r.Usage()
	if err != nil {
		return nil, err
	}
	s, err := b.during(r, func() error {
		return together(n, r.Port, func(c *client) (bool, error) { return false, c.pull(b.upstream) })
	})
	if err != nil {
		return nil, err
	}
	used, err := r.Usage()
	if err != nil {
		return nil, err
	}
	delivered := int64(n) * b.upstream.size
	return []float64{
		s.perGB(delivered), s.speed(delivered), float64(s.fetched) / float64(b.upstream.size),
		float64(used.Peak) / mib, float64(rest.PSS) / mib,
	}, nil
}

// started is one process of each mirror that has the image.
func (b *bench) started() (map[string]*peers.Process, func(), error) {
	all := make(map[string]*peers.Process)
	var ends []func()
	stop := func() {
		for _, end := range ends {
			end()
		}
	}
	for _, p := range b.mirrors {
		r, end, err := b.start(p)
		if err != nil {
			stop()
			return nil, nil, err
		}
		ends = append(ends, end)
		c := newClient(r.Port)
		err = c.pull(b.upstream)
		c.close()
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s: the first pull: %w", p.Name, err)
		}
		settle(r)
		all[p.Name] = r
	}
	return all, stop, nil
}

// warm: clients that pull again and again.
func warm(b *bench) ([]*report.Line, error) {
	started, stop, err := b.started()
	if err != nil {
		return nil, err
	}
	defer stop()
	var all []*report.Line
	for _, n := range crowds() {
		cost := &report.Line{Work: crowd(n) + ": CPU", Unit: "s/GB delivered"}
		speed := &report.Line{Work: crowd(n) + ": delivered", Unit: "GB/s"}
		fetched := &report.Line{Work: crowd(n) + ": fetched from the upstream", Unit: "bytes"}
		peak := &report.Line{Work: crowd(n) + ": memory (RSS) at most", Unit: "MiB"}
		lines := []*report.Line{cost, speed, fetched, peak}
		err := b.alternate(lines, func(p peers.Peer) ([]float64, error) { return b.warm(started[p.Name], n) })
		if err != nil {
			return nil, err
		}
		cost.Against(us, them, 1)
		speed.Against(us, them, 0)
		peak.Against(us, them, 1)
		all = append(all, lines...)
	}
	return all, nil
}

func (b *bench) warm(r *peers.Process, n int) ([]float64, error) {
	var pulls atomic.Int64
	s, err := b.during(r, func() error {
		end := time.Now().Add(b.window)
		return together(n, r.Port, func(c *client) (bool, error) {
			err := c.pull(b.upstream)
			pulls.Add(1)
			return time.Now().Before(end), err
		})
	})
	if err != nil {
		return nil, err
	}
	used, err := r.Usage()
	delivered := pulls.Load() * b.upstream.size
	return []float64{s.perGB(delivered), s.speed(delivered), float64(s.fetched), float64(used.Peak) / mib}, err
}

// tags: what a request costs that brings next to no bytes.
func tags(b *bench) ([]*report.Line, error) {
	started, stop, err := b.started()
	if err != nil {
		return nil, err
	}
	defer stop()
	const n = 16
	cost := &report.Line{Work: crowd(n) + ": CPU each", Unit: "µs"}
	rate := &report.Line{Work: crowd(n) + ": rate", Unit: "per second"}
	lines := []*report.Line{cost, rate}
	err = b.alternate(lines, func(p peers.Peer) ([]float64, error) {
		r := started[p.Name]
		var done atomic.Int64
		s, err := b.during(r, func() error {
			end := time.Now().Add(b.window)
			return together(n, r.Port, func(c *client) (bool, error) {
				err := c.manifest(b.upstream)
				done.Add(1)
				return time.Now().Before(end), err
			})
		})
		each := float64(done.Load())
		return []float64{s.cpu.Seconds() * 1e6 / each, each / s.took.Seconds()}, err
	})
	cost.Against(us, them, 1)
	return lines, err
}
