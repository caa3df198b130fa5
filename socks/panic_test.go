package socks

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"sluice/acl"
	"sluice/internal/crash"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/limit"
)

func TestAPanicEndsOneSessionWithARecordAndGivesItsPlaceBack(t *testing.T) {
	b := newBench(t, func(p *gate.Policy, _ *acl.Rule) {
		p.Dialer = nil // which panics when it is asked to dial
		p.Limits[0] = limit.Limits{Tunnels: 1}
	})
	for range 3 { // each needs the one place
		c := b.dial()
		c.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(b.origin.Port() >> 8), byte(b.origin.Port())})
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
		if r := b.record(); r.Outcome != "internal" || r.Host != "127.0.0.1" {
			t.Errorf("record %+v", r)
		}
	}
}

func TestAPanicOfTheWatchEndsAsOneOfItsOwner(t *testing.T) {
	near, far := lab.Connected(t)
	called := make(chan struct{})
	stop := watch(near, func() { close(called); panic("a fault") })
	far.Close()
	<-called
	defer func() {
		if p := crash.Recovered(recover()); p == nil || p.Value != "a fault" {
			t.Errorf("recovered %v", p)
		}
	}()
	stop()
	t.Error("nothing was raised")
}
