package limit

import (
	"net/netip"
	"testing"
)

func TestTheStateOfEachClientIsTold(t *testing.T) {
	table := NewTable()
	six := netip.MustParseAddr("2001:db8::7")
	l := Limits{Tunnels: 5, New: 10, Download: 1_000_000, Upload: 500_000, Burst: 64_000, DownloadClass: "fast"}
	first := admit(t, table, someone, l)
	admit(t, table, someone, l)
	gone := admit(t, table, six, Limits{Tunnels: 5})
	gone.Release()
	first.Down.Bucket().Take(20_000)

	clients := make(map[string]Client)
	for _, c := range table.Clients() {
		clients[Name(c.Key)] = c
	}
	if len(clients) != 2 {
		t.Fatalf("clients %v", clients)
	}
	c := clients[someone.String()]
	if c.Tunnels != 2 || c.NewPerSecond != 10 || c.New < 8 || c.New > 10 || len(c.Budgets) != 2 {
		t.Fatalf("%+v", c)
	}
	down, up := c.Budgets[0], c.Budgets[1]
	if down.Upload || down.Class != "fast" || down.Rate != 1_000_000 || down.Burst != 64_000 || down.Available < 44_000 || down.Available > 64_000 {
		t.Errorf("down %+v", down)
	}
	if !up.Upload || up.Class != "" || up.Rate != 500_000 || up.Available != 64_000 {
		t.Errorf("up %+v", up)
	}
	if c := clients["2001:db8::/64"]; c.Tunnels != 0 || c.NewPerSecond != 0 || len(c.Budgets) != 0 {
		t.Errorf("one that had a tunnel: %+v", c)
	}
}
