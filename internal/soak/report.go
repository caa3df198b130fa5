//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what came of a soak.
type report struct {
	s          *runner
	rows       map[string]*row
	ledger     *ledger
	faults     faults
	goroutines []string
	said       map[string]int
	settled    time.Duration
	memory     [2]string // most of it, and threads
	again      int       // requests that were sent twice
}

// row is a line of the table: tunnels of one kind and one way.
type row struct {
	way                          way
	kind                         string
	begun, open, refused, unsaid int // unsaid got no answer
	exact                        int
	up, down                     int64
}

func (r *report) enter(t *tunnel, records []record, exact bool) {
	key := string(t.way) + " " + t.kind.name
	line := r.rows[key]
	if line == nil {
		line = &row{way: t.way, kind: t.kind.name}
		r.rows[key] = line
	}
	line.begun++
	switch {
	case t.connected:
		line.open++
	case t.status != 0:
		line.refused++
	default:
		line.unsaid++
	}
	if exact {
		line.exact++
	}
	if t.sentAgain {
		r.again++
	}
	for _, rec := range records {
		line.up += rec.Up
		line.down += rec.Down
	}
}

func (r *report) write(w io.Writer) {
	s := r.s
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "way\tkind\tbegun\topen\trefused\tno answer\texact\tMB up\tMB down\t")
	sum := row{way: "all"}
	for _, key := range slices.Sorted(maps.Keys(r.rows)) {
		l := r.rows[key]
		l.write(table)
		sum.begun += l.begun
		sum.open += l.open
		sum.refused += l.refused
		sum.unsaid += l.unsaid
		sum.exact += l.exact
		sum.up += l.up
		sum.down += l.down
	}
	sum.write(table)
	table.Flush()
	fmt.Fprintf(w, "\nexact: what the client sent, the record has and the origin got, and back, is the same to the byte;\n"+
		"of HTTP, what the record has is heads and framing too: what the origin got, and what the client got.\n"+
		"Of tunnels that were cut off: got <= recorded <= sent, each way.\n"+
		"%d requests met a connection that the origin had dropped, were sent again, and are recorded with both.\n\n", r.again)
	fmt.Fprintf(w, "beside them   %d floods, %d slow handshakes, %d of garbage, %d dials abandoned %s, %d log rotations, %d reloads, %d times without descriptors\n",
		s.floods.Load(), s.slowed.Load(), s.garbled.Load(), s.abandoned.Load(), tally(r.ledger.abandoned), s.rotations, s.reloads, s.starved)
	fmt.Fprintf(w, "records       %d, of no tunnel %s\n", r.ledger.count, tally(r.ledger.nameless))
	fmt.Fprintf(w, "log           %s\n", tally(r.said))
	fmt.Fprintf(w, "memory        %s at most, %s threads\n", r.memory[0], r.memory[1])
	fmt.Fprintf(w, "descriptors   as at the beginning %s, after %v\n", tally(s.fresh), r.settled.Round(time.Millisecond))
	fmt.Fprintf(w, "goroutines    as of a process just started: %v\n", len(r.goroutines) == 0)
	fmt.Fprintf(w, "faults        %d %s\n", r.faults.total, tally(r.faults.sorts))
	for _, text := range r.faults.texts {
		fmt.Fprintln(w, "  "+text)
	}
}

func (l *row) write(w io.Writer) {
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t\n",
		l.way, l.kind, l.begun, l.open, l.refused, l.unsaid, l.exact, float64(l.up)/1e6, float64(l.down)/1e6)
}

// tally puts counts into words.
func tally[N int | int64](counts map[string]N) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return "(" + strings.Join(list, ", ") + ")"
}
