package limit

import (
	"net/netip"
	"sync"
	"testing"
)

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

func enter(t *testing.T, c *Connections, a netip.Addr) *Connection {
	t.Helper()
	conn, reason := c.Enter(a)
	if reason != Admitted {
		t.Fatalf("%v is kept out: %v", a, reason)
	}
	return conn
}

func counts(t *testing.T, c *Connections, connections, clients int) {
	t.Helper()
	if n, m := c.Len(); n != connections || m != clients {
		t.Errorf("%d connections of %d clients are counted, want %d of %d", n, m, connections, clients)
	}
}

func TestAClientHasItsConnectionsWithoutTunnelAndNoMore(t *testing.T) {
	c := NewConnections(2, 100)
	first := enter(t, c, someone)
	enter(t, c, someone)
	if _, reason := c.Enter(netip.MustParseAddr("::ffff:192.0.2.7")); reason != TooMany {
		t.Errorf("the third: %v", reason)
	}
	enter(t, c, netip.MustParseAddr("192.0.2.8")) // another client has its own
	first.Close()
	first.Close()
	enter(t, c, someone)
	counts(t, c, 3, 2)
}

func TestOneNetworkOfIPv6IsOneClient(t *testing.T) {
	c := NewConnections(1, 100)
	enter(t, c, netip.MustParseAddr("2001:db8::1"))
	if _, reason := c.Enter(netip.MustParseAddr("2001:db8::2")); reason != TooMany {
		t.Errorf("another address of the same /64: %v", reason)
	}
	enter(t, c, netip.MustParseAddr("2001:db8:0:1::1"))
}

func TestAConnectionWithATunnelIsNotCounted(t *testing.T) {
	c := NewConnections(1, 100)
	first := enter(t, c, someone)
	first.Leave()
	first.Leave()
	counts(t, c, 0, 0)
	second := enter(t, c, someone)
	first.Return() // its tunnel is gone; nobody turns it away, but it keeps others out
	counts(t, c, 2, 1)
	if _, reason := c.Enter(someone); reason != TooMany {
		t.Errorf("over the bound by one that came back: %v", reason)
	}
	first.Leave()
	first.Close()
	first.Return() // a tunnel that outlives its connection's handler
	second.Close()
	counts(t, c, 0, 0)
	var none *Connection
	none.Leave()
	none.Return()
	none.Close()
}

func TestOneClientHasAtMostAQuarterOfThePlaces(t *testing.T) {
	c := NewConnections(1000, 8)
	enter(t, c, someone)
	enter(t, c, someone)
	if _, reason := c.Enter(someone); reason != TooMany {
		t.Errorf("the third of eight: %v", reason)
	}
}

func TestTheLastConnectionsAreForThoseWhoHaveFew(t *testing.T) {
	c := NewConnections(25, 100)
	if c.Crowded() {
		t.Error("crowded from the start")
	}
	for i := range 90 { // greedy ones, up to the reserve of ten
		enter(t, c, address(i%5))
	}
	if !c.Crowded() {
		t.Error("not crowded with 90 of 100")
	}
	if _, reason := c.Enter(address(0)); reason != Scarce {
		t.Errorf("one that has 18: %v", reason)
	}
	for i := range 10 { // few is two of a hundred
		enter(t, c, address(100+i/2))
	}
	if _, reason := c.Enter(someone); reason != Scarce {
		t.Errorf("with none left: %v", reason)
	}
}

func TestHowManyAreFew(t *testing.T) {
	for _, x := range []struct{ used, total, few int }{
		{0, 100, 0}, {89, 100, 0}, {90, 100, 2}, {99, 100, 2},
		{0, 1, 0}, {8, 9, 0}, {9, 10, 1}, {18, 20, 1},
		{374, 416, 0}, {375, 416, 10}, {17999, 20000, 0}, {18000, 20000, 16},
		{120, 100, 2}, // places were taken from under it by a reload
	} {
		if got := Few(x.used, x.total); got != x.few {
			t.Errorf("%d of %d: %d, want %d", x.used, x.total, got, x.few)
		}
	}
}

func TestABoundThatIsLoweredTurnsNobodyOut(t *testing.T) {
	c := NewConnections(10, 100)
	first, second := enter(t, c, someone), enter(t, c, someone)
	c.Resize(1, 100)
	counts(t, c, 2, 1)
	first.Close()
	if _, reason := c.Enter(someone); reason != TooMany {
		t.Errorf("over the new bound: %v", reason)
	}
	second.Close()
	enter(t, c, someone)
	c.Resize(10, 4)
	if perClient, total := c.Places(); perClient != 1 || total != 4 {
		t.Errorf("%d of %d, want a quarter at most", perClient, total)
	}
}

func TestWhenPlacesRunOutAClientWithFewTunnelsGetsOne(t *testing.T) {
	table := NewTable()
	for range 3 {
		admit(t, table, someone, Limits{Tunnels: 5})
	}
	if reason, _ := table.Admit(new(Lease), someone, Limits{Tunnels: 5, Few: 3}); reason != Scarce {
		t.Errorf("the fourth of one that has three: %v", reason)
	}
	if reason, _ := table.Admit(new(Lease), someone, Limits{Tunnels: 3, Few: 3}); reason != TooMany {
		t.Errorf("at its own limit: %v", reason)
	}
	admit(t, table, netip.MustParseAddr("192.0.2.8"), Limits{Tunnels: 5, Few: 3})
}

func TestConnectionsThatComeAndGoLeaveNothing(t *testing.T) {
	c := NewConnections(10, 1000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 2000 {
				conn, reason := c.Enter(address(i*7 + j%50))
				if reason != Admitted {
					continue
				}
				conn.Leave()
				if j%2 == 0 {
					conn.Return()
				}
				conn.Close()
				conn.Return()
			}
		})
	}
	wg.Wait()
	counts(t, c, 0, 0)
}

func BenchmarkEnter(b *testing.B) {
	c := NewConnections(1<<20, 1<<23)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		conn, _ := c.Enter(address(i & 0xffff))
		conn.Leave()
		conn.Close()
	}
}
