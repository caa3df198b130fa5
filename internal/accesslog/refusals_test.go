package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/egress"
	"sluice/internal/track"
)

// refusedClient is a record of a refusal.
func refusedClient(client string) *track.Record {
	r := sample()
	r.Client = netip.AddrPortFrom(netip.MustParseAddr(client), 5555)
	r.Outcome, r.Decision, r.Rule = "rule_denied", "deny", ""
	return r
}

// logLines are what a log of refusals has: records by client, and what was told as
// left out by client.
type logLines struct {
	records map[string]int
	left    map[string]int
	order   []string
}

func readLines(t *testing.T, text string) logLines {
	t.Helper()
	l := logLines{map[string]int{}, map[string]int{}, nil}
	for line := range strings.Lines(text) {
		var m struct {
			Msg, Client, ID string
			LeftOut         int `json:"left_out"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		l.order = append(l.order, m.Msg)
		if m.Msg == "refusals left out" {
			if m.ID != "" || m.LeftOut == 0 {
				t.Errorf("not told so: %s", line)
			}
			l.left[m.Client] += m.LeftOut
			continue
		}
		l.records[m.Client]++
	}
	return l
}

// remembered returns how many clients are.
func remembered(l *Log) int {
	f := l.refusals.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients)
}

func openRefusals(t *testing.T, out *bytes.Buffer, perMinute float64) *Log {
	t.Helper()
	l, err := Open(Options{Format: JSON, Stdout: out, Refusals: perMinute / 60})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAScanFillsNoDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := openRefusals(t, &out, 60)
		for range 1000 {
			l.Record(refusedClient("192.0.2.7"))
			l.Record(sample()) // admitted, though the same client
		}
		for range 60 {
			l.Record(refusedClient("192.0.2.8"))
		}
		l.w.sync(flushTime)
		if got := readLines(t, out.String()); got.records["192.0.2.7"] != 1060 || got.records["192.0.2.8"] != 60 || len(got.left) != 0 {
			t.Errorf("at once: %v %v", got.records, got.left)
		}
		time.Sleep(refusalWindow + refusalSweep + time.Second)
		l.w.sync(flushTime)
		if got := readLines(t, out.String()); got.records["192.0.2.7"] != 1060 || fmt.Sprint(got.left) != "map[192.0.2.7:940]" {
			t.Errorf("after a minute: %v %v", got.records, got.left)
		}
		if n := remembered(l); n != 0 {
			t.Errorf("%d clients are remembered", n)
		}
		l.Record(refusedClient("192.0.2.7"))
		l.Close()
		if got := readLines(t, out.String()); got.records["192.0.2.7"] != 1061 || got.left["192.0.2.7"] != 940 {
			t.Errorf("at the end: %v %v", got.records, got.left)
		}
	})
}

func TestWhatWasLeftOutIsToldBeforeTheClientsNextRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := openRefusals(t, &out, 2)
		l.Record(refusedClient("192.0.2.8")) // its sweep comes 5 seconds before the other's minute is over
		time.Sleep(5 * time.Second)
		for range 5 {
			l.Record(refusedClient("192.0.2.7"))
		}
		time.Sleep(refusalWindow)
		l.Record(refusedClient("192.0.2.7"))
		l.w.sync(flushTime)
		want := []string{"tunnel", "tunnel", "tunnel", "refusals left out", "tunnel"}
		if got := readLines(t, out.String()); fmt.Sprint(got.order) != fmt.Sprint(want) || got.left["192.0.2.7"] != 3 {
			t.Errorf("%q, %v", got.order, got.left)
		}
		l.Close()
	})
}

func TestTheEndTellsWhatWasLeftOut(t *testing.T) {
	var out bytes.Buffer
	l := openRefusals(t, &out, 1)
	for range 3 {
		l.Record(refusedClient("2001:db8::1"))
		l.Record(refusedClient("2001:db8::2:3")) // the same /64
		l.Record(refusedClient("2001:db8:0:1::1"))
	}
	l.Close()
	got := readLines(t, out.String())
	if fmt.Sprint(got.left) != "map[2001:db8:0:1::/64:2 2001:db8::/64:5]" || got.records["2001:db8::2:3"] != 0 {
		t.Errorf("%v %v", got.records, got.left)
	}
}

func TestAScanFromManyAddressesTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := openRefusals(t, &out, 1)
		const addresses = 20000
		client := netip.MustParseAddr("10.0.0.0")
		for i := range addresses {
			l.Record(refusedClient(client.String()))
			client = client.Next()
			if i%1000 == 0 {
				l.w.sync(flushTime)
			}
		}
		if n := remembered(l); n != maxRefused {
			t.Errorf("%d clients are remembered", n)
		}
		time.Sleep(2 * refusalWindow)
		l.w.sync(flushTime)
		got := readLines(t, out.String())
		if n := len(got.records); n != maxRefused+1 || got.left[""] != addresses-n || len(got.left) != 1 {
			t.Errorf("%d records, left out %v", n, got.left)
		}
		if n := remembered(l); n != 0 {
			t.Errorf("%d clients are still remembered", n)
		}
		l.Close()
	})
}

func TestOnlyRefusalsAreLeftOut(t *testing.T) {
	for _, k := range append(egress.Kinds(), egress.None) {
		var out bytes.Buffer
		l := openRefusals(t, &out, 1)
		for range 3 {
			r := sample()
			r.Outcome = k.String()
			l.Record(r)
		}
		l.Close()
		want := 3
		switch k {
		case egress.RuleDenied, egress.NotPublic, egress.Loop, egress.AuthRequired, egress.ClientLimit,
			egress.ServerFull, egress.Malformed, egress.HeaderTooLarge:
			want = 1
		}
		if got := readLines(t, out.String()); got.records["192.0.2.7"] != want || got.left["192.0.2.7"] != 3-want {
			t.Errorf("%s: %v, left out %v", k, got.records, got.left)
		}
	}
}

func TestWhatIsLeftOutIsToldWhenThereIsRoomInTheQueue(t *testing.T) {
	var in bool
	told := 0
	f := newRefusals(1, func(_ netip.Addr, n uint64) bool {
		if in {
			told += int(n)
		}
		return in
	})
	defer f.close()
	now := time.Now()
	client := netip.MustParseAddr("192.0.2.7")
	written := 0
	for i := range 300 { // 100 in each of three minutes, none of which can be told
		if f.admit(client, now.Add(time.Duration(i)*time.Minute/100)) {
			written++
		}
	}
	in = true
	if f.admit(client, now.Add(4*time.Minute)) {
		written++
	}
	if written+told != 301 || written != 61 {
		t.Errorf("%d written, %d told", written, told)
	}
}

func TestAChangeOfTheBoundTellsWhatWasLeftOut(t *testing.T) {
	var out bytes.Buffer
	l := openRefusals(t, &out, 1)
	for _, perMinute := range []float64{2, 0} {
		for range 5 {
			l.Record(refusedClient("192.0.2.7"))
		}
		change, err := l.Prepare(Options{Format: JSON, Refusals: perMinute / 60})
		if err != nil {
			t.Fatal(err)
		}
		change.Commit()
	}
	for range 5 {
		l.Record(refusedClient("192.0.2.7"))
	}
	l.Close()
	if got := readLines(t, out.String()); got.records["192.0.2.7"] != 1+2+5 || got.left["192.0.2.7"] != 4+3 {
		t.Errorf("%v, left out %v", got.records, got.left)
	}
}

func TestSquidsFormatHasALineForWhatIsLeftOut(t *testing.T) {
	at := time.Unix(1700000000, 123e6)
	for client, want := range map[string]string{
		"192.0.2.7":   "1700000000.123      0 192.0.2.7 NONE/000 0 NONE error:refusals-left-out:940 - HIER_NONE/- -\n",
		"2001:db8::":  "1700000000.123      0 2001:db8:: NONE/000 0 NONE error:refusals-left-out:940 - HIER_NONE/- -\n",
		"0.0.0.0":     "1700000000.123      0 0.0.0.0 NONE/000 0 NONE error:refusals-left-out:940 - HIER_NONE/- -\n",
		"not a valid": "1700000000.123      0 - NONE/000 0 NONE error:refusals-left-out:940 - HIER_NONE/- -\n",
	} {
		addr, _ := netip.ParseAddr(client)
		r := record{at: at, kind: leftOut, left: 940}
		r.Client = netip.AddrPortFrom(addr, 0)
		if got := string(squid{}.appendRecord(nil, &r)); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}

// BenchmarkRefusal is what a refusal costs that is left out.
func BenchmarkRefusal(b *testing.B) {
	l, err := Open(Options{Format: JSON, Stdout: &bytes.Buffer{}, Refusals: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := refusedClient("192.0.2.7")
	b.ReportAllocs()
	for b.Loop() {
		l.Record(r)
	}
}
