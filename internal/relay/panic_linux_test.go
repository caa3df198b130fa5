package relay

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// crashed asserts that a panic has ended the tunnel, once, and that both sides
// were reset.
func crashed(t *testing.T, tun *tunnel) {
	t.Helper()
	var p *Panic
	if r := tun.ended(t); r.How != ByError || !errors.As(r.Err, &p) || len(p.Stack) == 0 {
		t.Errorf("result %+v", r)
	}
	for _, c := range []*net.TCPConn{tun.client, tun.origin} {
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

func TestAPanicWhileActiveEndsOneTunnel(t *testing.T) {
	tun := &tunnel{result: make(chan Result, 2)}
	near, client := pair(t)
	out, origin := pair(t)
	tun.client, tun.origin = client, origin
	// Going to rest, it divides by the number of loops.
	tun.Start(near, out, Options{Poller: &Poller{}}, func(r Result) { tun.result <- r })
	crashed(t, tun)
}

func TestAPanicAtRestEndsOneTunnel(t *testing.T) {
	p := newPoller(t)
	neighbour, tun := start(t, Options{Poller: p}), start(t, Options{Poller: p})
	tun.mu.Lock()
	tun.rest.loop = &loop{} // which has no slot to leave when the tunnel wakes
	tun.mu.Unlock()
	go tun.client.Write(random(1 << 20))
	crashed(t, tun)
	exchange(t, neighbour, random(100))
	neighbour.close(t)
}
