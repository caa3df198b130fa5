//go:build linux

package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatDoesNotAgreeIsAFault(t *testing.T) {
	good := func() (*tunnel, record) {
		t := &tunnel{kind: &kind{}, way: byCONNECT, up: 10, down: 20, connected: true, status: open, answered: time.Now()}
		t.client, t.origin = account{here: true, sent: 10, got: 20}, account{here: true, sent: 20, got: 10}
		return t, record{Outcome: "ok", How: "fin", Up: 10, Down: 20}
	}
	for name, c := range map[string]struct {
		change func(*tunnel, *record)
		want   string // the sort of fault; "" for none
	}{
		"all the same":               {func(*tunnel, *record) {}, ""},
		"a byte less recorded":       {func(_ *tunnel, r *record) { r.Up-- }, "bytes differ"},
		"a byte more recorded":       {func(_ *tunnel, r *record) { r.Down++ }, "bytes differ"},
		"a byte lost":                {func(t *tunnel, _ *record) { t.origin.got-- }, "bytes differ"},
		"another end":                {func(_ *tunnel, r *record) { r.How = "reset" }, "another end is recorded"},
		"an origin that saw nothing": {func(t *tunnel, _ *record) { t.origin.here = false }, "not well"},
		"an end that broke":          {func(t *tunnel, _ *record) { t.client.err = io.ErrUnexpectedEOF }, "not well"},
		"refused for nothing": {func(t *tunnel, r *record) {
			t.connected, t.status, r.Status, r.Outcome, r.Up, r.Down = false, 403, 403, "rule_denied", 0, 0
		},
			"refused without a cause"},
		"cut off, some on the way": {func(t *tunnel, r *record) { t.kind.ending, r.How, t.origin.got, r.Down = cut, "reset", 3, 20 }, ""},
		"cut off, got more than recorded": {func(t *tunnel, r *record) { t.kind.ending, r.How, r.Up = cut, "reset", 9 },
			"more bytes than were sent"},
		"cut off, told as a clean end": {func(t *tunnel, _ *record) { t.kind.ending = cut }, "a reset is recorded as something else"},
	} {
		tu, r := good()
		c.change(tu, &r)
		var f faults
		exact := new(runner).check(tu, []record{r}, &f)
		want := map[string]int(nil)
		if c.want != "" {
			want = map[string]int{c.want: 1}
		}
		if !cmp.Equal(f.sorts, want) || exact != (c.want == "" && tu.kind.ending == clean) {
			t.Errorf("%s: faults %v, exact %v; want %v", name, f.texts, exact, want)
		}
	}
	tu, r := good()
	for _, records := range [][]record{nil, {r, r}} {
		var f faults
		if new(runner).check(tu, records, &f); f.total != 1 {
			t.Errorf("with %d records: %v", len(records), f.texts)
		}
	}
}

func TestGoroutinesAreCountedByWhoStartedThem(t *testing.T) {
	got := goroutines("\n\ngoroutine 0 [idle]:\nruntime.futex()\n\ngoroutine 1 [select]:\nmain.serve(0x1)\n\t/x.go:1\n\n" +
		"goroutine 7 [IO wait, 2 minutes]:\nnet.Read()\n\t/y.go:2\ncreated by sluice/internal/server.(*Server).Serve in goroutine 1\n\t/z.go:3\n\n" +
		"goroutine 8 [GC worker (idle)]:\nruntime.gopark()\ncreated by runtime.gcBgMarkStartWorkers in goroutine 1\n\t/z.go:3\n\nrax 0x1\n")
	want := map[string]int{"the program's start": 1, "sluice/internal/server.(*Server).Serve": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if list := difference(map[string]int{"a": 1, "b": 2}, map[string]int{"a": 1, "b": 1, "c": 1}); len(list) != 2 {
		t.Errorf("differences %q", list)
	}
}

// Not much of a soak, but all that it is made of.
func TestAShortSoakFindsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a quarter of a minute")
	}
	t.Chdir("../..")
	t.Setenv("TMPDIR", t.TempDir())
	o := options{time: 3 * time.Second, workers: 20, seed: 1}
	dir, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := soak(o, dir, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
