package gate

import (
	"context"
	"net/netip"
	"testing"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestTheLastPlacesAreForClientsWithFewTunnels(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) { p.MaxTunnels, p.Limits[0].Tunnels = 10, 10 })
	of := func(client string) (*Origin, *egress.Error) {
		tx := f.Begin(Source{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 1)}, track.HTTP)
		host, _ := acl.ParseHost("127.0.0.1")
		tx.ToHost(host, f.port())
		o, e := tx.Dial(context.Background())
		if e == nil {
			t.Cleanup(o.Close)
		}
		return o, e
	}
	var last *Origin
	for i := range 9 {
		o, e := of("192.0.2.1")
		if e != nil {
			t.Fatalf("tunnel %d: %v", i, e)
		}
		last = o
	}
	if _, e := of("192.0.2.1"); e == nil || e.Kind != egress.ServerFull {
		t.Errorf("the tenth of one client: %v", e)
	}
	if _, e := of("192.0.2.2"); e != nil {
		t.Errorf("the first of another: %v", e)
	}
	if _, e := of("192.0.2.3"); e == nil || e.Kind != egress.ServerFull {
		t.Errorf("the eleventh of all: %v", e)
	}
	last.Close()
	if _, e := of("192.0.2.3"); e != nil {
		t.Errorf("after one has ended: %v", e)
	}
}

func TestWhatIsRefusedLeavesNoClientBehind(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r", "example.com")}, nil)
	host, _ := acl.ParseHost("127.0.0.1")
	for i := range 5000 {
		tx := f.Begin(Source{Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 1)}, track.HTTP)
		tx.ToHost(host, f.port())
		_, e := tx.Dial(context.Background())
		if e == nil || e.Kind != egress.RuleDenied {
			t.Fatal(e)
		}
		tx.Fail(e, e.Kind.Status())
	}
	if n := f.clients.Len(); n != 0 || f.Live().Len() != 0 {
		t.Errorf("%d clients and %d transactions are remembered", n, f.Live().Len())
	}
}

func TestAConnectionIsCountedWhileItHoldsNoTunnel(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	c := limit.NewConnections(1, 10)
	conn, _ := c.Enter(source.Client.Addr())
	defer conn.Close()
	counted := func(want int) {
		t.Helper()
		if n, _ := c.Len(); n != want {
			t.Errorf("%d are counted, want %d", n, want)
		}
	}
	begin := func() *Transaction {
		s := source
		s.Connection = conn
		tx := f.Begin(s, track.HTTP)
		host, _ := acl.ParseHost("127.0.0.1")
		tx.ToHost(host, f.port())
		return tx
	}
	counted(1)
	o, e := begin().Dial(context.Background())
	if e != nil {
		t.Fatal(e)
	}
	counted(0)
	o.Close()
	o.Close()
	counted(1)
	f.origin.Close()
	if _, e := begin().Dial(context.Background()); e == nil || e.Kind != egress.Refused {
		t.Fatal(e)
	}
	counted(1) // what could not be dialled holds none
}
