package relay

import (
	"fmt"
	"net"
	"runtime/debug"
)

// Panic is the error of a tunnel that a panic of the code that relays it has
// ended: a fault of this program, which no other tunnel shall suffer for.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprint("panic: ", p.Value) }

// recovered ends the one tunnel that a panic came in. It is deferred, before any
// lock is taken, by whatever runs for a tunnel on a goroutine of this package.
func (t *Tunnel) recovered() {
	if v := recover(); v != nil {
		t.crash(&Panic{v, debug.Stack()})
	}
}

// startRecovered is recovered for Start, whose connections nobody has yet.
func (t *Tunnel) startRecovered(conns ...*net.TCPConn) {
	if v := recover(); v != nil {
		for _, c := range conns {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
		t.crash(&Panic{v, debug.Stack()})
	}
}

// crash ends a tunnel whose state is not to be relied on: it closes what it finds.
// Goroutines that the tunnel has left meet closed connections.
func (t *Tunnel) crash(p *Panic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	cut := t.cut
	t.cut, t.noted = true, false
	t.note(Nobody, ByError, p)
	switch {
	case t.copying != nil:
		if !cut {
			t.copying.cut()
		}
		if t.copying.timer != nil {
			t.copying.timer.Stop()
		}
		t.copying = nil
	case t.seat.taken():
		t.crashSeat()
	}
	t.finish()
}
