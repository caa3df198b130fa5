package gate

import (
	"io"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/lab"
	"sluice/internal/track"
)

// ledger adds up what a gate has counted.
type ledger struct {
	up, down int64
	records  []track.Record
}

func (l *ledger) add(up, down int64) {
	l.up += up
	l.down += down
}

func keepLedger(g *Gate) *ledger {
	l := &ledger{}
	g.Count = func(r *track.Record, up, down int64) {
		l.add(up, down)
		l.records = append(l.records, *r)
	}
	return l
}

func TestEachByteIsCountedOnceWhoeverAsksAndWhen(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	l := keepLedger(f.Gate)
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	up, down := tx.Counters()
	ask := func(wantUp, wantDown int64) {
		t.Helper()
		u := tx.Uncounted()
		l.add(u.Up, u.Down)
		if want := (track.Uncounted{Protocol: track.HTTP, Rule: "r", Up: wantUp, Down: wantDown}); u != want {
			t.Errorf("uncounted %+v, want %+v", u, want)
		}
	}
	ask(0, 0)
	up.Add(10)
	down.Add(100)
	ask(10, 100)
	ask(0, 0)
	down.Add(1000)
	o.Close()
	tx.Finish(Finish{Status: 200})
	ask(0, 0)
	up.Add(7) // what is still on its way is in no record, and so in no count
	ask(0, 0)
	if len(l.records) != 1 || l.records[0].Up != l.up || l.records[0].Down != l.down || l.down != 1100 {
		t.Errorf("counted %d up, %d down; records %+v", l.up, l.down, l.records)
	}
}

func TestATunnelIsCountedWhileItLives(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	counted := make(chan [2]int64, 1)
	f.Gate.Count = func(_ *track.Record, up, down int64) { counted <- [2]int64{up, down} }
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	far, err := f.origin.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, client := lab.Connected(t)
	if n := f.Tunnels(); n != 1 || f.Clients().Busy() != 1 {
		t.Errorf("%d tunnels of %d clients", n, f.Clients().Busy())
	}
	tx.Relay(near, o, nil)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if u := tx.Uncounted(); u.Up == 5 {
			break
		} else if u.Up != 0 || time.Now().After(deadline) {
			t.Fatalf("uncounted %+v", u)
		}
	}
	if _, err := io.WriteString(far, "goodbye"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	client.Close()
	far.Close()
	if rest := <-counted; rest != [2]int64{0, 7} {
		t.Errorf("what was left to count is %v", rest)
	}
}

func TestWhatCameOfADialIsTold(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	var told []egress.Result
	var errs []*egress.Error
	f.Dialed = func(r egress.Result, e *egress.Error) { told, errs = append(told, r), append(errs, e) }
	tx, o, e := f.dial("localhost")
	if e != nil {
		t.Fatal(e)
	}
	o.Close()
	tx.Finish(Finish{})
	tx, _, e = f.dial("192.0.2.1") // not public
	tx.Fail(e, 403)
	if len(told) != 2 || errs[0] != nil || told[0].DNS <= 0 || told[0].Dial <= 0 {
		t.Fatalf("told %+v, %v", told, errs)
	}
	if errs[1] != e || told[1].DNS != 0 || told[1].Tries != 0 {
		t.Errorf("of an address that is not dialled it is told %+v, %v", told[1], errs[1])
	}
}
