package relay

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// crashed asserts that a panic has ended the tunnel, once, and that sides were
// reset.
func crashed(t *testing.T, tun *tunnel, sides ...*net.TCPConn) {
	t.Helper()
	var p *Panic
	if r := tun.ended(t); r.How != ByError || !errors.As(r.Err, &p) || len(p.Stack) == 0 {
		t.Errorf("result %+v", r)
	}
	for _, c := range sides {
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a side sees %v", err)
		}
	}
	tun.Kill("again")
	select {
	case r := <-tun.result:
		t.Errorf("ended twice: %+v", r)
	default:
	}
}

func TestAPanicInALoopEndsOneTunnel(t *testing.T) {
	p := newPoller(t)
	neighbour, tun := start(t, Options{Poller: p}), start(t, Options{Poller: p})
	tun.mu.Lock()
	tun.seat.loop = &loop{} // which has no slot to leave when the tunnel ends
	tun.mu.Unlock()
	tun.client.SetLinger(0)
	tun.client.Close()
	crashed(t, tun, tun.origin)
	exchange(t, neighbour, random(100))
	neighbour.close(t)
}

func TestAPanicInAGoroutineEndsOneTunnel(t *testing.T) {
	tun := start(t, Options{})
	tun.copying.up.count = nil
	raw, err := tun.client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// By the package whose Read gets it, so that the race detector sees their order.
	raw.Write(func(fd uintptr) bool { unix.Write(int(fd), []byte("x")); return true })
	crashed(t, tun, tun.client, tun.origin)
}
