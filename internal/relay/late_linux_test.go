package relay

import (
	"io"
	"testing"
	"time"
)

// A goroutine that has a tunnel in hand, as Start has, may lose its processor then.
// The other tunnels of the loop go on, and the news is not lost.
func TestATunnelInOtherHandsHoldsUpNoOther(t *testing.T) {
	p, err := NewPoller(1, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	tun, other := start(t, Options{Poller: p}), start(t, Options{Poller: p})
	other.client.SetDeadline(time.Now().Add(20 * time.Second))
	other.origin.SetDeadline(time.Now().Add(20 * time.Second))
	func() {
		tun.mu.Lock()
		defer tun.mu.Unlock()
		tun.client.Write([]byte("x"))
		time.Sleep(10 * time.Millisecond)
		for range 10 {
			exchange(t, other, []byte("y"))
		}
	}()
	tun.origin.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(tun.origin, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	tun.close(t)
	other.close(t)
}
