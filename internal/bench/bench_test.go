//go:build linux

package main

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/bench/harness"
	"sluice/internal/bench/peers"
	"sluice/internal/bench/report"
)

func TestSpansAreDividedIntoTheUnitsOfTheTable(t *testing.T) {
	s := span{cpu: 500 * time.Millisecond, done: 2_000_000_000, took: 2 * time.Second}
	for name, c := range map[string]struct{ got, want float64 }{
		"CPU seconds per GB":    {s.perGB(), 0.25},
		"CPU microseconds each": {s.each(), 0.00025},
		"in a second":           {s.rate(), 1e9},
	} {
		if math.Abs(c.got-c.want) > c.want*1e-9 {
			t.Errorf("%s: %v, not %v", name, c.got, c.want)
		}
	}
	if got := micros([]time.Duration{1500}); !cmp.Equal(got, []float64{1.5}) {
		t.Errorf("1500 ns are %v µs", got)
	}
}

func TestPeersAreMeasuredInTurnAndOneThatFailsIsLeftOut(t *testing.T) {
	b := &bench{options: options{sizes: sizes{rounds: 3}}, log: io.Discard}
	b.peers = []peers.Peer{{Name: "A"}, {Name: "B"}, {Name: "C"}}
	var order []string
	l := &report.Line{Work: "w"}
	measure := func(p peers.Peer) ([]float64, error) {
		order = append(order, p.Name)
		if p.Name == "B" && len(order) > 3 {
			return nil, errors.New("broke")
		}
		return []float64{float64(len(order))}, nil
	}
	if err := b.alternate([]*report.Line{l}, b.peers, measure); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "ABCABCAC" {
		t.Errorf("order %s", got)
	}
	want := map[string][]float64{"A": {1, 4, 7}, "C": {3, 6, 8}}
	if diff := cmp.Diff(want, l.Figures); diff != "" {
		t.Error(diff)
	}
	if l.Absent["B"] != "broke" {
		t.Errorf("the line says of B: %q", l.Absent["B"])
	}
	fails := func(peers.Peer) ([]float64, error) { return nil, errors.New("broke") }
	if b.alternate([]*report.Line{l}, b.peers, fails) == nil {
		t.Error("Sluice itself fails, and the row goes on")
	}
}

func TestIdleTunnelsAreAsManyAsDescriptorsAllow(t *testing.T) {
	b := &bench{options: options{sizes: sizes{idle: 5000}}, files: 20000}
	if got := b.room(peers.Peer{Descriptors: 2}); got != 5000 {
		t.Errorf("of two descriptors each: %d", got)
	}
	if got := b.room(peers.Peer{Descriptors: 6}); got != 3300 {
		t.Errorf("of six descriptors each: %d", got)
	}
}

func TestLookUpsAreReadFromTheBenchmarksOutput(t *testing.T) {
	const out = `goos: linux
BenchmarkDecide/100000cidrs/1000000names/name-2         	 1364726	       168.1 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/100000cidrs/1000000names/name-2         	 1364726	       170.1 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecide/100000cidrs/1000000names/nobody         	 1364726	       90 ns/op	      16 B/op	       1 allocs/op
PASS
`
	lines, err := parseLookUps([]byte(out), "Sluice")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]float64)
	for _, l := range lines {
		got[l.Work] = l.Figures["Sluice"]
	}
	want := map[string][]float64{
		"look-up, name":                     {168.1, 170.1},
		"look-up, nobody":                   {90},
		"allocations of a look-up, at most": {1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseLookUps([]byte("PASS\n"), "Sluice"); err == nil {
		t.Error("output without a benchmark is taken")
	}
}

func TestRowsAreChosenByName(t *testing.T) {
	chosen, err := harness.Choose(rows(), "start,idle")
	if err != nil || len(chosen) != 2 || chosen[0].name != "start" {
		t.Errorf("%v, %v", chosen, err)
	}
	if all, err := harness.Choose(rows(), ""); err != nil || len(all) != len(rows()) {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := harness.Choose(rows(), "idle,nonesuch"); err == nil {
		t.Error("a row that does not exist is chosen")
	}
}

func TestThePageNamesMachineRoundsAndReasons(t *testing.T) {
	l := report.Line{Work: "w", Unit: "µs", Figures: map[string][]float64{"Sluice": {1, 1, 2}}}
	l.Lack("Dante", "no CONNECT")
	all := &report.Results{Subjects: []string{"Sluice", "Dante"}, Rows: []report.Row{
		{Name: "relay", Title: "Relaying", Lines: []report.Line{l}, Notes: []string{"noted"},
			Setting: report.Setting{Date: "2026-01-02", Rounds: 3, Machine: "a machine", Versions: map[string]string{"Dante": "1.4"}}},
	}}
	text := page(all)
	for _, want := range []string{
		"| w, µs | | | | 1.00 (1.00–2.00) | -: no CONNECT |",
		"- Relaying: noted\n",
		"Sluice 2.00 instead of 1.00 (round 3)",
		"- relay: 2026-01-02; 3 rounds; a machine; Dante 1.4\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
