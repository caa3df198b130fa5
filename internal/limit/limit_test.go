package limit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var someone = netip.MustParseAddr("192.0.2.7")

func admit(t *testing.T, table *Table, a netip.Addr, l Limits) *Lease {
	t.Helper()
	lease := new(Lease)
	reason, _ := table.Admit(lease, a, l)
	if reason != Admitted {
		t.Fatalf("%v refused: %v", a, reason)
	}
	return lease
}

func TestAClientHasItsTunnelsAndNoMore(t *testing.T) {
	table := NewTable()
	l := Limits{Tunnels: 2}
	first := admit(t, table, someone, l)
	second := admit(t, table, someone, l)
	if reason, wait := table.Admit(new(Lease), someone, l); reason != TooMany || wait <= 0 {
		t.Errorf("the third: %v, %v", reason, wait)
	}
	admit(t, table, netip.MustParseAddr("192.0.2.8"), l) // another client has its own
	first.Release()
	first.Release() // a second release gives nothing back
	third := admit(t, table, someone, l)
	if reason, _ := table.Admit(new(Lease), someone, l); reason != TooMany {
		t.Errorf("after one release two were admitted")
	}
	second.Release()
	third.Release()
}

func TestOnlyClientsWithTunnelsAreBusy(t *testing.T) {
	table := NewTable()
	l := Limits{Tunnels: 2, New: 3}
	busy := func(want int) {
		t.Helper()
		if n := table.Busy(); n != want {
			t.Errorf("%d clients have tunnels, want %d", n, want)
		}
	}
	busy(0)
	one, two := admit(t, table, someone, l), admit(t, table, someone, l)
	other := admit(t, table, netip.MustParseAddr("192.0.2.8"), l)
	table.Admit(new(Lease), someone, l) // is refused
	busy(2)
	one.Release()
	other.Release()
	busy(1)
	two.Release()
	busy(0)
	admit(t, table, someone, l) // its third within the second
	busy(1)
}

func TestNewTunnelsHaveARate(t *testing.T) {
	table := NewTable()
	l := Limits{New: 5}
	for range 5 { // one second's worth at once
		admit(t, table, someone, l)
	}
	reason, wait := table.Admit(new(Lease), someone, l)
	if reason != TooQuickly || wait <= 0 || wait > time.Second/5 {
		t.Errorf("the sixth: %v, %v", reason, wait)
	}
	time.Sleep(wait)
	admit(t, table, someone, l)
}

func TestAnIPv6ClientIsItsSlash64(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"fe80::1%eth0", "fe80::1", true},
	} {
		if same := Key(netip.MustParseAddr(c.a)) == Key(netip.MustParseAddr(c.b)); same != c.same {
			t.Errorf("%s and %s are one client: %v", c.a, c.b, same)
		}
	}
}

func TestTunnelsOfOneClassShareOneBudget(t *testing.T) {
	table := NewTable()
	common := Limits{Download: 1000, Upload: 2000, Burst: 500}
	own := common
	own.DownloadClass = "docker-hosts"
	a, b, c := admit(t, table, someone, common), admit(t, table, someone, common), admit(t, table, someone, own)
	if a.Down.Bucket() == nil || a.Down.Bucket() != b.Down.Bucket() || a.Up.Bucket() != b.Up.Bucket() || a.Down.Bucket() == a.Up.Bucket() {
		t.Error("two tunnels of one class have budgets of their own")
	}
	if c.Down.Bucket() == a.Down.Bucket() {
		t.Error("a rule with a rate of its own shares the common budget")
	}
	if c.Up.Bucket() != a.Up.Bucket() {
		t.Error("a rule with a download of its own gives its client a second upload")
	}
	if d := admit(t, table, netip.MustParseAddr("192.0.2.8"), common); d.Down.Bucket() == a.Down.Bucket() {
		t.Error("two clients share a budget")
	}
}

func TestABudgetMakesWaitForWhatIsOverIt(t *testing.T) {
	b := newBucket(1000, 500)
	if wait := b.Take(500); wait != 0 {
		t.Errorf("within the burst: %v", wait)
	}
	first, second := b.Take(500), b.Take(500)
	// A bucket that is empty gains 500 bytes in half a second, less what passed
	// since the calls before.
	if first <= 400*time.Millisecond || first > 500*time.Millisecond {
		t.Errorf("the first over it waits %v", first)
	}
	if second <= first || second > time.Second {
		t.Errorf("the next waits %v after %v", second, first)
	}
	if b.Take(10_000) <= 0 {
		t.Error("more than the burst at once must wait, not fail")
	}
}

func TestNoRateIsNoBudget(t *testing.T) {
	for _, l := range []Limits{{}, {Download: Unlimited, Upload: Unlimited}} {
		lease := admit(t, NewTable(), someone, l)
		if lease.Up.Bucket() != nil || lease.Down.Bucket() != nil {
			t.Errorf("%+v gives budgets", l)
		}
	}
	var none *Bucket
	if none.Take(1<<40) != 0 || none.Chunk() < 1<<40 {
		t.Error("the nil bucket is not unlimited")
	}
}

func TestOtherLimitsHoldForLiveTunnels(t *testing.T) {
	table := NewTable()
	slow := Limits{Download: 1 << 20, Burst: 1 << 16}
	one, two := admit(t, table, someone, slow), admit(t, table, someone, slow)
	old := one.Down.Bucket()
	old.Take(old.Chunk())
	old.Take(1 << 16) // more than there is
	fast := Limits{Download: 64 << 20, Burst: 1 << 16, DownloadClass: "a rule of its own by now"}
	one.Change(fast)
	two.Change(fast)
	if b := one.Down.Bucket(); b == old || b.Chunk() <= old.Chunk() || b != two.Down.Bucket() {
		t.Error("live tunnels kept their old rate, or do not share the new one")
	}
	one.Change(Limits{})
	if one.Down.Bucket() != nil {
		t.Error("a limit that was lifted still holds")
	}
	one.Release()
	one.Change(slow)
	if one.Down.Bucket() != nil {
		t.Error("limits came back after the tunnel had ended")
	}
}

// Else whoever can have the proxy reloaded, or waits for that, has another burst
// each time.
func TestAChangeOfLimitsIsNoSecondBurst(t *testing.T) {
	lease := admit(t, NewTable(), someone, Limits{Download: 1000, Burst: 1 << 20})
	for b := lease.Down.Bucket(); b.Take(b.Chunk()) == 0; {
	}
	lease.Change(Limits{Download: 2000, Burst: 1 << 20})
	if wait := lease.Down.Bucket().Take(1460); wait < 500*time.Millisecond {
		t.Errorf("the new bucket was not empty: it makes wait for %v", wait)
	}
}

func TestClientsLongGoneAreForgotten(t *testing.T) {
	table := NewTable()
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		lease := admit(t, table, a, Limits{Download: 1000})
		if i%10 != 0 { // one in ten stays
			lease.Release()
		}
	}
	if n := table.Len(); n != 1000 {
		t.Fatalf("%d clients", n)
	}
	later := time.Now().Add(30 * time.Second)
	sweepAll(table, later)
	if n := table.Len(); n != 1000 {
		t.Errorf("%d clients half a minute later: they were forgotten too early", n)
	}
	// An empty bucket of 1 MB at 1 kB/s is full again after 1000 s.
	sweepAll(table, later.Add(10*time.Minute))
	if n := table.Len(); n != 1000 {
		t.Errorf("%d clients before their buckets are full", n)
	}
	sweepAll(table, later.Add(30*time.Minute))
	if n := table.Len(); n != 100 {
		t.Errorf("%d clients are remembered, 100 have tunnels", n)
	}
}

func TestOnlySoManyClientsWithoutTunnelsAreRemembered(t *testing.T) {
	table := NewTable()
	l := Limits{Download: 1 << 40, New: 1e-4}
	one := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	const many, stay = 200_000, 1000
	for i := range many {
		lease := admit(t, table, one(i), l)
		if i >= stay {
			lease.Release()
		}
	}
	most := mostIdle * len(table.shards)
	if n := table.Len(); n > most+stay || n < most/2 {
		t.Errorf("%d clients are remembered, want %d at most", n, most+stay)
	}
	for _, i := range []int{0, stay - 1, many - 1} { // with tunnels, and the last one without
		if reason, _ := table.Admit(new(Lease), one(i), l); reason != TooQuickly {
			t.Errorf("client %d was forgotten: %v", i, reason)
		}
	}
	admit(t, table, one(stay), l) // long idle, and forgotten
}

func sweepAll(table *Table, now time.Time) {
	for i := range table.shards {
		s := &table.shards[i]
		s.mu.Lock()
		s.swept = time.Time{}
		s.sweep(now)
		s.mu.Unlock()
	}
}

func TestAdmissionOfAKnownClientAllocatesNothing(t *testing.T) {
	table := NewTable()
	l := Limits{Tunnels: 1000, New: 1e9, Download: 1 << 30, Upload: 1 << 30}
	defer admit(t, table, someone, l).Release()
	var lease Lease
	if n := testing.AllocsPerRun(1000, func() {
		table.Admit(&lease, someone, l)
		lease.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, clients := range []int{1, 10_000} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			table := NewTable()
			l := Limits{Tunnels: 1 << 30, New: 1e9, Download: 1 << 30, Upload: 1 << 30}
			b.ReportAllocs()
			var lease Lease
			for i := 0; b.Loop(); i++ {
				n := i % clients
				table.Admit(&lease, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), l)
				lease.Release()
			}
		})
	}
}

func BenchmarkTake(b *testing.B) {
	bucket := newBucket(1<<50, 1<<30)
	b.ReportAllocs()
	for b.Loop() {
		bucket.Take(64 << 10)
	}
}
