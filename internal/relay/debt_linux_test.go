package relay

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/limit"
)

// Tunnels that are cut while they wait for their budget leave no debt: what was
// taken for them and did not move is there for others.
func TestTunnelsCutWhileTheyWaitLeaveNoDebt(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		b := bucket(t, 20_000, 4<<10) // 73 ms for a segment of 1460 bytes
		tuns := waiting(t, p, b, 100)
		if wait := b.Bucket().Take(1); wait < 3*time.Second {
			t.Fatalf("with 100 tunnels that wait the next one waits %v only", wait)
		}
		for _, tun := range tuns {
			tun.Kill("killed")
			tun.ended(t)
		}
		if wait := b.Bucket().Take(1); wait > time.Second {
			t.Errorf("whoever comes next waits %v", wait)
		}
	})
}

// waiting starts tunnels that wait for a budget.
func waiting(t *testing.T, p *Poller, b *limit.Budget, n int) []*tunnel {
	t.Helper()
	var tuns []*tunnel
	for range n {
		tun := start(t, Options{Poller: p, Up: b})
		tun.client.Write(make([]byte, 8<<10))
		tuns = append(tuns, tun)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		waits := 0
		for _, tun := range tuns {
			tun.mu.Lock()
			if tun.up.waits || tun.copying != nil && tun.copying.up.waiting.Load() {
				waits++
			}
			tun.mu.Unlock()
		}
		if waits == n {
			return tuns
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d tunnels wait", waits, n)
		}
	}
}

// A tunnel that is cut while it waits is forgotten then, and not when its time
// would have come, which may be hours later.
func TestTunnelsCutWhileTheyWaitAreForgotten(t *testing.T) {
	p := newPoller(t)
	var gone atomic.Int32
	const tunnels = 400
	func() {
		for _, tun := range waiting(t, p, bucket(t, 1, 4<<10), tunnels) {
			runtime.AddCleanup(tun, func(int) { gone.Add(1) }, 0)
			tun.Kill("killed")
			tun.ended(t)
		}
	}()
	for range p.loops { // each gets something to do
		tun := start(t, Options{Poller: p})
		exchange(t, tun, []byte("x"))
		tun.close(t)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if int(gone.Load()) >= tunnels-2*fewWaiters {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d tunnels are forgotten", gone.Load(), tunnels)
		}
	}
}

// What came early is charged for once, also when the loop cannot take the tunnel and
// goroutines relay it.
func TestEarlyBytesAreChargedForOnce(t *testing.T) {
	p := &Poller{loops: []*loop{{epfd: -1}}}
	const burst = 8 << 10
	b := bucket(t, 1, burst)
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := lab.Connected(t)
	out, origin := lab.Connected(t)
	tun.client, tun.origin = client, origin
	tun.Start(near, out, Options{Poller: p, Up: b, Early: make([]byte, burst-100)}, func(r Result) { tun.result <- r })
	origin.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.ReadFull(origin, make([]byte, burst-100)); err != nil {
		t.Errorf("%v after %d bytes", err, n)
	}
	tun.close(t)
}
