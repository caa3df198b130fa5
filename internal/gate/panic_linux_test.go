package gate

import (
	"net"
	"testing"

	"sluice/acl"
	"sluice/internal/relay"
	"sluice/internal/track"
)

func TestAPanicOfTheRelayLeavesARecordAndGivesThePlaceBack(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	f.Poller = &relay.Poller{} // which has no loop to give a tunnel to
	done, told := make(chan track.Record, 2), make(chan string, 2)
	f.record = func(r *track.Record) { done <- *r }
	f.Panicked = func(_ track.ID, _ any, stack []byte) { told <- string(stack) }
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	client, err := net.Dial("tcp", f.origin.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tx.Relay(client.(*net.TCPConn), o, nil)
	if r := <-done; r.Outcome != "internal" || r.How != relay.ByError || r.ClosedBy != track.Sluice {
		t.Errorf("record %+v", r)
	}
	if stack := <-told; stack == "" {
		t.Error("no stack was told")
	}
	if err := f.Live().Drain(t.Context()); err != nil || f.tunnels.Load() != 0 {
		t.Errorf("%d tunnels are counted after the end, %v", f.tunnels.Load(), err)
	}
}
