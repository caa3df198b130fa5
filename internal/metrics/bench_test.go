package metrics

import (
	"testing"
	"time"

	"sluice/internal/lab/reference"
	"sluice/internal/track"
)

// What a client costs that is refused, and a tunnel at its end.
func BenchmarkCount(b *testing.B) {
	for _, r := range []track.Record{
		{Protocol: track.Connect, Outcome: "rule_denied"},
		{Protocol: track.SOCKS5, Outcome: "ok", Rule: "docker-hosts", Total: 42 * time.Second},
	} {
		b.Run(r.Outcome, func(b *testing.B) {
			m := New(Options{})
			b.ReportAllocs()
			for b.Loop() {
				m.Count(&r, 0, 0)
			}
		})
	}
}

// A scrape, and a reading of the totals, with as many tunnels as there may be, each
// of which has moved bytes since the last.
func BenchmarkWithManyTunnels(b *testing.B) {
	g, m := newGate(b)
	moving := make([]func(), 20_000)
	for i := range moving {
		up, down := begin(b, g, track.Connect).Counters()
		moving[i] = func() { up.Add(1000); down.Add(1000) }
	}
	move := func(b *testing.B) {
		b.StopTimer()
		for _, f := range moving {
			f()
		}
		b.StartTimer()
	}
	b.Run("scrape", func(b *testing.B) {
		for b.Loop() {
			move(b)
			reference.Scrape(b, m, "sluice_bytes_total")
		}
	})
	b.Run("totals", func(b *testing.B) {
		for b.Loop() {
			move(b)
			m.Totals()
		}
	})
	b.Run("list", func(b *testing.B) { // which holds up others for a sixteenth of it
		for b.Loop() {
			g.Live().List()
		}
	})
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := New(Options{})
	r := track.Record{Protocol: track.HTTP, Outcome: "ok", Rule: "docker-hosts", Total: time.Second}
	m.Count(&r, 1, 1) // the first of its rule
	if n := testing.AllocsPerRun(1000, func() { m.Count(&r, 1, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
