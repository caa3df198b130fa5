package forward

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/crash"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/limit"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// panics counts what a gate tells of panics, and wants a stack with each.
type panics struct {
	t *testing.T
	atomic.Int32
}

func (n *panics) told(_ track.ID, _ any, stack []byte) {
	if !bytes.Contains(stack, []byte("panic")) {
		n.t.Errorf("stack %q", stack)
	}
	n.Add(1)
}

func TestAPanicEndsOneConnectionWithARecordAndGivesItsPlaceBack(t *testing.T) {
	for name, request := range map[string]string{
		"CONNECT":       "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n",
		"absolute-form": "GET http://%[1]s/ HTTP/1.1\r\nHost: %[1]s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			n := panics{t: t}
			faulty := func(g *gate.Gate) {
				g.Panicked = n.told
				g.Opened = func() func(*track.Record) { panic("a fault") }
			}
			p, o := newProxy(t, setup{limits: limit.Limits{Tunnels: 1}, gate: faulty}), newOrigin(t)
			for range 3 { // each needs the one place
				c := p.dial()
				c.send(request, o.addr)
				if _, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the client sees %v", err)
				}
				if got := o.accept().rest(); got != "" {
					t.Errorf("the origin got %q", got)
				}
				if r := p.record(); r.Outcome != "internal" || r.ClosedBy != track.Sluice || r.How != relay.ByError || !strings.Contains(r.Reason, "a fault") || r.Host == "" {
					t.Errorf("record %+v", r)
				}
				p.noRecord()
			}
			if n.Load() != 3 {
				t.Errorf("%d panics were told of", n.Load())
			}
		})
	}
}

func TestAPanicWhileABodyIsSentEndsOneConnection(t *testing.T) {
	n := panics{t: t}
	p := newProxy(t, setup{gate: func(g *gate.Gate) { g.Panicked = n.told }})
	near, far := lab.Connected(t)
	s := &session{h: p.handler, conn: near}
	s.in.reset(near)
	s.in.push([]byte("body"))
	x := &exchange{s: s, tx: p.gate.Begin(gate.Source{}, track.HTTP), uploaded: make(chan struct{})}
	x.tx.OnKill(func() { abort(near) })
	x.up.dst = near // with no counter
	go x.upload(body{kind: sized, length: 100})
	<-x.uploaded
	if x.uploadErr == nil || n.Load() != 1 {
		t.Errorf("error %v, %d panics", x.uploadErr, n.Load())
	}
	if _, err := io.ReadAll(far); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	if r := p.record(); r.Outcome != "internal" {
		t.Errorf("record %+v", r)
	}
}

func TestAPanicOfAWatchEndsAsOneOfItsOwner(t *testing.T) {
	near, far := lab.Connected(t)
	s := &session{conn: near}
	s.in.reset(near)
	var w watch
	w.start(s, 0, func() { panic("a fault") })
	far.Close()
	<-w.done
	defer func() {
		if p := crash.Recovered(recover()); p == nil || p.Value != "a fault" || !bytes.Contains(p.Stack, []byte("panic_test")) {
			t.Errorf("recovered %+v", p)
		}
	}()
	w.stop()
	t.Error("nothing was raised")
}

func TestAPanicOfTheIdleTimerEndsOneExchange(t *testing.T) {
	n := panics{t: t}
	p := newProxy(t, setup{gate: func(g *gate.Gate) { g.Panicked = n.told }})
	x := stall{tx: p.gate.Begin(gate.Source{}, track.HTTP), idle: time.Millisecond} // with no counters
	x.look()
	if r := p.record(); r.Outcome != "internal" || n.Load() != 1 {
		t.Errorf("record %+v, %d panics", r, n.Load())
	}
	x.stop()
}
