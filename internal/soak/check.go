//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// faults are what did not agree; the first of each sort are kept in words.
type faults struct {
	total int
	sorts map[string]int
	texts []string
	when  string // stands behind each text
}

const faultsOfASort = 5

func (f *faults) add(sort, format string, args ...any) {
	f.total++
	if f.sorts == nil {
		f.sorts = map[string]int{}
	}
	if f.sorts[sort]++; f.sorts[sort] <= faultsOfASort {
		f.texts = append(f.texts, sort+": "+fmt.Sprintf(format, args...)+f.when)
	}
}

// wantedOutcomes are what records tell of names that lead nowhere.
var wantedOutcomes = map[string]string{
	zoneServfail: "name_not_found", zoneMissing: "name_not_found", zoneForbidden: "rule_denied",
	zoneInside: "address_not_public", zoneClosed: "refused", zoneSilent: "resolver_timeout",
}

// check holds what the ends of a tunnel have seen against each other and against
// its records. It tells whether the tunnel was accounted for byte by byte.
func (s *runner) check(t *tunnel, records []record, f *faults) (exact bool) {
	end := t.answered
	if end.IsZero() {
		end = t.begun.Add(patience)
	}
	excused := s.inFamine(t.begun, end)
	f.when = ""
	if excused {
		f.when = " (about a time without descriptors)"
	}
	switch {
	case len(records) > 1:
		f.add("more than one record", "%v: %+v", t, records)
		return false
	case len(records) == 0 && (!excused || t.connected || t.status != 0):
		f.add("no record", "%v, client (%v), answered with %d", t, t.client, t.status)
		return false
	case len(records) == 0:
		return false
	}
	r := records[0]
	if !t.connected && t.kind.ending != cut || t.kind.ending == refused {
		checkRefused(t, r, excused, f)
		return false
	}
	if t.kind.ending == cut {
		checkCut(t, r, excused, f)
		return false
	}
	return checkWhole(t, r, f)
}

// checkRefused is for tunnels that did not come about.
func checkRefused(t *tunnel, r record, excused bool, f *faults) {
	if r.Outcome == "ok" || t.connected {
		if !excused || t.connected { // the answer may have been lost with its client
			f.add("opened and not opened", "%v, answered with %d, client (%v): %+v", t, t.status, t.client, r)
		}
		return
	}
	if !t.answered.IsZero() && t.way != bySOCKS5 && r.Status != t.status {
		f.add("status differs", "%v was told %d: %+v", t, t.status, r)
	}
	// The origin had dropped the connection, and a request with a body cannot be
	// sent again (RFC 9110, section 9.2.2).
	excused = excused || t.afterDrop && t.up > 0 && r.Outcome == "origin_protocol"
	if want := wantedOutcomes[t.kind.zone]; r.Outcome != want && !excused {
		f.add("refused without a cause", "%v, client (%v), answered with %d: %+v", t, t.client, t.status, r)
	}
	if t.way != byHTTP && (r.Up != 0 || r.Down != 0) {
		f.add("bytes of a refused tunnel", "%v: %+v", t, r)
	}
}

// checkCut is for tunnels that one end broke off: what arrived is at most what
// the record has, and that at most what was sent.
func checkCut(t *tunnel, r record, excused bool, f *faults) {
	if excused && !t.connected {
		return
	}
	c, o := t.client, t.origin
	up, down := []int64{o.got, r.Up, c.sent}, []int64{c.got, r.Down, o.sent}
	if t.way == byHTTP { // a head has other lengths on its two sides
		up, down = []int64{o.raw, r.Up}, []int64{c.raw, r.Down}
		if !t.connected {
			down = nil // the answer was Sluice's own
		}
	}
	if !slices.IsSorted(up) || !slices.IsSorted(down) {
		f.add("more bytes than were sent", "%v: got, recorded, sent: up %d, down %d: %+v", t, up, down, r)
	}
	if c.err != nil || o.err != nil {
		f.add("not cut off as it should be", "%v: client %v, origin %v: %+v", t, c.err, o.err, r)
	}
	if t.way != byHTTP && (r.Outcome != "ok" || r.How != "reset") {
		f.add("a reset is recorded as something else", "%v: %+v", t, r)
	}
}

// checkWhole is for tunnels that lost nothing.
func checkWhole(t *tunnel, r record, f *faults) bool {
	c, o := t.client, t.origin
	if c.err != nil || o.err != nil || !o.here {
		f.add("not well", "%v of %d up, %d down: client %v, origin %v: %+v", t, t.up, t.down, c.err, o.err, r)
		return false
	}
	up, down := []int64{t.up, c.sent, o.got}, []int64{t.down, o.sent, c.got}
	recorded := [2][]int64{{r.Up, o.got}, {r.Down, c.got}}
	if t.way == byHTTP {
		recorded = [2][]int64{{r.Up, o.raw}, {r.Down, c.raw}}
		if t.afterDrop && t.up == 0 && r.Up == 2*o.raw { // both times it was sent are recorded
			t.sentAgain = true
			recorded[0][1] *= 2
		}
	}
	for _, list := range [][]int64{up, down, recorded[0], recorded[1]} {
		if slices.Min(list) != slices.Max(list) {
			f.add("bytes differ", "%v: wanted, sent, got: up %d, down %d; recorded and got: %d: %+v", t, up, down, recorded, r)
			return false
		}
	}
	how := "fin"
	if t.kind.ending == idle {
		how = "idle"
	}
	if r.Outcome != "ok" || t.way != byHTTP && r.How != how {
		f.add("another end is recorded", "%v: %+v", t, r)
		return false
	}
	return true
}

// leftFor is how long after the last tunnel descriptors may stay open: tunnels
// whose ends nobody waits for are idle or in a dial, and pipes for splicing are
// closed by the garbage collector.
const leftFor = 4 * time.Minute

// descriptorsLeft waits until the process has no more open than at the beginning,
// and returns what it has more or less after the longest time that is granted.
func (s *runner) descriptorsLeft() ([]string, time.Duration, error) {
	r := s.rand(-1)
	began := time.Now()
	for {
		now, err := s.proxy.descriptors()
		if err != nil {
			return nil, 0, err
		}
		left := difference(s.fresh, now)
		if took := time.Since(began); len(left) == 0 || took > leftFor {
			return left, took, nil
		}
		// Only a process that allocates collects its garbage soon.
		for range 50 {
			s.refusal(r.Uint32())
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// refusal has one request refused.
func (s *runner) refusal(n uint32) {
	c, err := dial(ordinary.any(s.rand(int(n))), s.proxy.listener)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(c, "CONNECT %d.abandoned.test:444 HTTP/1.1\r\n\r\n", n)
	_, _ = c.Read(make([]byte, 1024))
}

// goroutinesLeft ends the process and returns what goroutines it had more than
// one that was just started.
func (s *runner) goroutinesLeft() ([]string, error) {
	now, err := s.proxy.quit("sluice.log")
	if err != nil {
		return nil, err
	}
	p, err := startProxy(s.dir, "fresh.log", s.proxy.listener)
	if err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	before, err := p.quit("fresh.log")
	if err != nil {
		p.kill()
		return nil, err
	}
	return difference(before, now), nil
}

// words are the messages of Sluice's own log, by their text, and what looks like
// a fault of the program.
func (s *runner) words(f *faults) (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "sluice.log"))
	if err != nil {
		return nil, err
	}
	said, _, _ := strings.Cut(string(text), "SIGQUIT: quit")
	count := map[string]int{}
	for line := range strings.Lines(said) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "fatal error") {
			f.add("the program is at fault", "%s", strings.TrimSpace(line))
		}
		_, message, ok := strings.Cut(line, `"msg":"`)
		if ok {
			message, _, _ = strings.Cut(message, `"`)
			count[message]++
		}
	}
	return count, nil
}

// examine counts everything when the load is over.
func (s *runner) examine() (*report, error) {
	rep := &report{s: s, rows: map[string]*row{}}
	f := &rep.faults
	for _, err := range s.broken {
		f.add("the load itself", "%v", err)
	}
	if !s.proxy.alive() {
		_, err := s.words(f)
		if err == nil {
			err = fmt.Errorf("sluice has ended")
		}
		return nil, err
	}
	rep.memory = [2]string{s.proxy.status("VmHWM"), s.proxy.status("Threads")}
	left, took, err := s.descriptorsLeft()
	if err != nil {
		return nil, err
	}
	rep.settled = took
	for _, text := range left {
		f.add("descriptors", "%s", text)
	}
	if rep.goroutines, err = s.goroutinesLeft(); err != nil {
		return nil, err
	}
	for _, text := range rep.goroutines {
		f.add("goroutines", "%s", text)
	}
	if rep.said, err = s.words(f); err != nil {
		return nil, err
	}
	s.origins.close() // from here on nobody writes to what the origins have seen
	return rep, s.checkRecords(rep)
}

func (s *runner) checkRecords(rep *report) error {
	l, err := readLedger(s.dir)
	if err != nil {
		return err
	}
	rep.ledger = l
	for _, t := range s.book.all() {
		records := l.of[t.number]
		delete(l.of, t.number)
		rep.enter(t, records, s.check(t, records, &rep.faults))
	}
	rep.faults.when = ""
	for _, n := range slices.Sorted(maps.Keys(l.of)) {
		rep.faults.add("record of no tunnel", "%+v", l.of[n])
	}
	for _, r := range l.strange {
		rep.faults.add("record of no tunnel", "%+v", r)
	}
	if n := s.slow.Load(); n > 0 {
		rep.faults.add("slow handshakes", "%d lasted longer than %v", n, 3*handshakeTime)
	}
	return nil
}
