//go:build linux

package main

import (
	"fmt"
	"time"

	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

// startGoal is what a start may take, in milliseconds.
const startGoal = 50

// start: how long until a fresh process serves.
func start(b *bench) (result, error) {
	res := result{title: "Process start to first byte served"}
	took := &report.Line{Work: "median of 5 starts", Unit: "ms"}
	res.lines = []*report.Line{took}
	err := b.alternate(res.lines, b.peers, func(p peers.Peer) ([]float64, error) {
		times := make([]float64, 5)
		for i := range times {
			d, err := b.startOf(p)
			if err != nil {
				return nil, err
			}
			times[i] = float64(d) / float64(time.Millisecond)
		}
		return []float64{report.Median(times)}, nil
	})
	took.AgainstFixed(b.peers[us].Name, startGoal, fmt.Sprintf("%d ms", startGoal))
	return res, err
}

func (b *bench) startOf(p peers.Peer) (time.Duration, error) {
	s, err := b.setup()
	if err != nil {
		return 0, err
	}
	r, err := b.running.Start(p, s)
	if err != nil {
		return 0, err
	}
	defer b.running.Stop(r)
	return b.firstByte(r)
}

// firstByte tries until a tunnel carries a message to and fro, and returns how
// long that is after the process was started.
func (b *bench) firstByte(r *peers.Process) (time.Duration, error) {
	for {
		err := b.clients.Once(via(r))
		took := time.Since(r.Started)
		if err == nil {
			return took, nil
		}
		if !r.Alive() || took > startTime {
			return 0, fmt.Errorf("%s serves nothing after %v: %w", r.Name, took, err)
		}
		time.Sleep(200 * time.Microsecond)
	}
}
