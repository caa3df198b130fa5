package accesslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/track"
)

// tunnel is a live transaction that relays a byte each way in a second.
type tunnel struct {
	track.Live // nil, for nothing else is asked of it
	id         track.ID
	start      time.Time
	address    netip.AddrPort
}

func (l *tunnel) Snapshot() track.Record {
	r := sample()
	r.Outcome, r.How, r.ClosedBy, r.Status = "", "", track.Nobody, 0
	r.ID, r.Start, r.Address = l.id, l.start, l.address
	r.Total = time.Since(l.start)
	r.Up, r.Down = l.Bytes()
	return *r
}

func (l *tunnel) Bytes() (up, down int64) {
	n := int64(time.Since(l.start).Seconds())
	return n, n
}

// enter makes a transaction live. Without an address it still dials.
func enter(table *track.Table, address string) track.ID {
	l := &tunnel{id: table.NewID(), start: time.Now()}
	if address != "" {
		l.address = netip.MustParseAddrPort(address)
	}
	table.Add(l.id, l)
	return l.id
}

const origin = "203.0.113.9:443"

func TestEachLongTunnelTellsItsProgressInEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tunnels, every = 20000, 10 * time.Second
		table := track.NewTable()
		last := make(map[track.ID]time.Time)
		steps := make(map[time.Duration]int)
		records := 0
		begin := time.Now()
		i := StartInterim(table, func(r *track.Record) {
			now := time.Now()
			if r.Total < every || r.Up != int64(r.Total.Seconds()) || r.Outcome != "" || r.How != "" {
				t.Errorf("record %+v", r)
			}
			if before, ok := last[r.ID]; ok {
				if gap := now.Sub(before); gap < every-every/interimSteps || gap > every+every/interimSteps {
					t.Errorf("%s tells its progress after %s", r.ID, gap)
				}
			} else if r.Total >= 2*every+every/interimSteps {
				t.Errorf("%s tells its progress for the first time after %s", r.ID, r.Total)
			}
			last[r.ID] = now
			steps[now.Sub(begin)]++
			records++
		}, every)
		time.Sleep(3 * time.Second) // into an interval
		for range tunnels {
			enter(table, origin)
		}
		time.Sleep(10*every - 3*time.Second)
		i.Stop()
		if len(last) != tunnels || records < 8*tunnels || records > 9*tunnels {
			t.Errorf("%d records of %d tunnels", records, len(last))
		}
		for at, n := range steps {
			if n > maxWaiting/8 {
				t.Errorf("%d records come at once after %s", n, at)
			}
		}
	})
}

func TestWhatHasEndedOrStillDialsTellsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := track.NewTable()
		told := make(map[track.ID]int)
		i := StartInterim(table, func(r *track.Record) { told[r.ID]++ }, time.Minute)
		long := enter(table, origin)
		enter(table, "") // dials
		over := enter(table, origin)
		time.Sleep(59 * time.Second)
		table.Remove(over)
		time.Sleep(10*time.Minute + 11*time.Second - 59*time.Second)
		young := enter(table, origin)
		time.Sleep(55 * time.Second)
		i.Stop()
		if len(told) != 1 || told[long] < 9 || told[young] != 0 {
			t.Errorf("told: %v", told)
		}
	})
}

func TestTheIntervalCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := track.NewTable()
		var n atomic.Int64
		i := StartInterim(table, func(*track.Record) { n.Add(1) }, 0)
		enter(table, origin)
		expect := func(after time.Duration, least, most int64) {
			t.Helper()
			before := n.Load()
			time.Sleep(after)
			synctest.Wait()
			if n := n.Load() - before; n < least || n > most {
				t.Errorf("%d records in %s", n, after)
			}
		}
		expect(time.Hour, 0, 0)
		i.Change(time.Minute)
		expect(10*time.Minute, 9, 10)
		i.Change(10 * time.Second)
		expect(10*time.Minute, 59, 60)
		i.Change(0)
		expect(time.Hour, 0, 0)
		i.Stop()
		i.Change(time.Second) // of what has ended: does not wait
		i.Stop()
	})
}

func TestARecordOfProgressHasNoEnd(t *testing.T) {
	for _, f := range []Format{JSON, Squid} {
		var out bytes.Buffer
		l, err := Open(Options{Format: f, Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		table := track.NewTable()
		id := enter(table, origin)
		r := table.Get(id).Snapshot()
		l.Progress(&r)
		l.Close()
		if f == Squid {
			if out.Len() > 0 {
				t.Errorf("Squid's format has %q", out.String())
			}
			continue
		}
		var m map[string]any
		if err := json.Unmarshal(out.Bytes(), &m); err != nil || m["msg"] != "progress" || m["level"] != "info" {
			t.Fatalf("%q, %v", out.String(), err)
		}
		for _, name := range strings.Fields("outcome status closed_by closed_how reason") {
			if m[name] != nil {
				t.Errorf("%s is there: %s", name, out.String())
			}
		}
		for _, name := range strings.Fields("id start client host total_seconds bytes_up bytes_down rule") {
			if m[name] == nil {
				t.Errorf("%s is missing: %s", name, out.String())
			}
		}
	}
}
