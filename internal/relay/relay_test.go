package relay

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/lab"
	"sluice/internal/limit"
)

// roleEnv makes the test binary play both ends of tunnels in a process of their
// own, so that what this process is charged for is the relay alone.
const roleEnv = "RELAY_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "ends" {
		os.Exit(playEnds())
	}
	goleak.VerifyTestMain(m)
}

// tunnel is a relay with its two ends in the test's hands.
type tunnel struct {
	Tunnel
	client, origin *net.TCPConn
	result         chan Result
}

// start begins a tunnel.
func start(t testing.TB, o Options) *tunnel {
	t.Helper()
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := lab.Connected(t)
	out, origin := lab.Connected(t)
	tun.client, tun.origin = client, origin
	tun.Start(near, out, o, func(r Result) { tun.result <- r })
	return tun
}

// inBothModes runs a test with tunnels that goroutines relay, and with tunnels
// of Pollers.
func inBothModes(t *testing.T, test func(t *testing.T, p *Poller)) {
	t.Run("by goroutines", func(t *testing.T) { test(t, nil) })
	for _, c := range []struct {
		name  string
		aside int
	}{{"by a Poller", 0}, {"by a Poller with processors of its own", 2}} {
		old := runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(old + c.aside)
		p, err := NewPoller(2, c.aside > 0)
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return // there is none on this system
		}
		t.Run(c.name, func(t *testing.T) { test(t, p) })
		p.Close()
		runtime.GOMAXPROCS(old)
	}
}

func (tun *tunnel) ended(t testing.TB) Result {
	t.Helper()
	select {
	case r := <-tun.result:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("the tunnel did not end")
		return Result{}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestAllBytesArriveBothWaysAndAreCounted(t *testing.T) {
	inBothModes(t, allBytesArriveBothWaysAndAreCounted)
}

func allBytesArriveBothWaysAndAreCounted(t *testing.T, p *Poller) {
	for _, size := range []int{0, 1, bufferSize - 1, bufferSize, bufferSize + 1, 5 << 20} {
		up, down := random(size), random(size/2)
		tun := start(t, Options{Idle: time.Minute, Poller: p})
		go func() { tun.client.Write(up); tun.client.CloseWrite() }()
		go func() { tun.origin.Write(down); tun.origin.CloseWrite() }()
		gotUp := make(chan []byte)
		go func() { b, _ := io.ReadAll(tun.origin); gotUp <- b }()
		gotDown, err := io.ReadAll(tun.client)
		if err != nil || !bytes.Equal(gotDown, down) {
			t.Errorf("%d bytes: client got %d of %d, %v", size, len(gotDown), len(down), err)
		}
		if b := <-gotUp; !bytes.Equal(b, up) {
			t.Errorf("%d bytes: origin got %d", size, len(b))
		}
		r := tun.ended(t)
		if r.Up != int64(len(up)) || r.Down != int64(len(down)) || r.How != ByFIN {
			t.Errorf("%d bytes: result %+v", size, r)
		}
	}
}

func TestEarlyBytesComeFirst(t *testing.T) { inBothModes(t, earlyBytesComeFirst) }

func earlyBytesComeFirst(t *testing.T, p *Poller) {
	tun := start(t, Options{Early: []byte("early,"), Poller: p})
	tun.client.Write([]byte("late"))
	tun.client.CloseWrite()
	got, _ := io.ReadAll(tun.origin)
	if string(got) != "early,late" {
		t.Errorf("origin got %q", got)
	}
	tun.origin.Close()
	if r := tun.ended(t); r.Up != int64(len(got)) || r.First != Client {
		t.Errorf("result %+v", r)
	}
}

func TestHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	inBothModes(t, halfCloseLeavesTheOtherDirectionOpen)
}

func halfCloseLeavesTheOtherDirectionOpen(t *testing.T, p *Poller) {
	for _, first := range []Side{Client, Origin} {
		tun := start(t, Options{Poller: p})
		a, b := tun.client, tun.origin
		if first == Origin {
			a, b = b, a
		}
		a.CloseWrite()
		if n, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("other side read %d, %v, want EOF", n, err)
		}
		b.Write([]byte("still here"))
		b.CloseWrite()
		if got, err := io.ReadAll(a); string(got) != "still here" || err != nil {
			t.Errorf("half-closed side got %q, %v", got, err)
		}
		if r := tun.ended(t); r.First != first || r.How != ByFIN {
			t.Errorf("first to close: %+v, want %v", r, first)
		}
	}
}

func TestResetIsPassedOnAsReset(t *testing.T) { inBothModes(t, resetIsPassedOnAsReset) }

func resetIsPassedOnAsReset(t *testing.T, p *Poller) {
	for _, first := range []Side{Client, Origin} {
		for _, busy := range []bool{false, true} {
			tun := start(t, Options{Poller: p})
			a, b := tun.client, tun.origin
			if first == Origin {
				a, b = b, a
			}
			wrote := make(chan error, 1)
			if busy { // bytes in flight the other way
				go func() { _, err := b.Write(make([]byte, 32<<20)); wrote <- err }()
				io.ReadFull(a, make([]byte, 1<<20))
			} else {
				wrote <- nil
			}
			a.SetLinger(0)
			a.Close()
			_, err := io.Copy(io.Discard, b)
			// The kernel tells of a reset once, to whichever call comes first.
			// EPIPE would say that a FIN came before it.
			if werr := <-wrote; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(werr, syscall.ECONNRESET) {
				t.Errorf("%v reset, busy %v: other side got %v and %v, want a reset", first, busy, err, werr)
			}
			if r := tun.ended(t); r.First != first || r.How != ByReset {
				t.Errorf("%v reset, busy %v: result %+v", first, busy, r)
			}
		}
	}
}

func TestKillResetsBothSides(t *testing.T) { inBothModes(t, killResetsBothSides) }

func killResetsBothSides(t *testing.T, p *Poller) {
	tun := start(t, Options{Poller: p})
	tun.Kill("drain")
	tun.Kill("again")
	for _, c := range []*net.TCPConn{tun.client, tun.origin} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read after kill: %v", err)
		}
	}
	if r := tun.ended(t); r.First != Caller || r.How != "drain" {
		t.Errorf("result %+v", r)
	}
}

func TestIdleTimeoutCountsBothDirectionsTogether(t *testing.T) {
	inBothModes(t, idleTimeoutCountsBothDirectionsTogether)
}

func idleTimeoutCountsBothDirectionsTogether(t *testing.T, p *Poller) {
	const idle = 800 * time.Millisecond
	tun := start(t, Options{Idle: idle, Poller: p})
	begin := time.Now()
	for range 6 { // only one direction is busy, and for longer than the timeout
		time.Sleep(idle / 4)
		tun.origin.Write([]byte("x"))
		if _, err := io.ReadFull(tun.client, make([]byte, 1)); err != nil {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
	}
	busy := time.Since(begin)
	r := tun.ended(t)
	if r.How != ByIdle || r.First != Caller || r.Down != 6 {
		t.Errorf("result %+v", r)
	}
	if total := time.Since(begin); total < busy+idle*9/10 {
		t.Errorf("ended %v after the last byte", total-busy)
	}
}

func TestASlowReaderIsNotOverrun(t *testing.T) { inBothModes(t, aSlowReaderIsNotOverrun) }

func aSlowReaderIsNotOverrun(t *testing.T, p *Poller) {
	tun := start(t, Options{Poller: p})
	data := random(24 << 20)
	go func() { tun.origin.Write(data); tun.origin.CloseWrite() }()
	time.Sleep(50 * time.Millisecond) // let everything fill up
	got, err := io.ReadAll(tun.client)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	tun.client.Close()
	tun.ended(t)
}

var clientAddr = netip.MustParseAddr("127.0.0.1")

// bucket returns a budget of perSecond with a small burst.
func bucket(t testing.TB, perSecond, burst int64) *limit.Budget {
	t.Helper()
	lease := new(limit.Lease)
	reason, _ := limit.NewTable().Admit(lease, clientAddr, limit.Limits{Upload: perSecond, Burst: burst})
	if reason != limit.Admitted {
		t.Fatal(reason)
	}
	return &lease.Up
}

func TestABudgetHoldsBackWhatIsOverIt(t *testing.T) { inBothModes(t, aBudgetHoldsBackWhatIsOverIt) }

func aBudgetHoldsBackWhatIsOverIt(t *testing.T, p *Poller) {
	const rate, burst, size = 4 << 20, 64 << 10, 2 << 20
	b := bucket(t, rate, burst)
	tun := start(t, Options{Up: b, Poller: p})
	begin := time.Now()
	go func() { tun.client.Write(make([]byte, size)); tun.client.CloseWrite() }()
	n, err := io.Copy(io.Discard, tun.origin)
	took := time.Since(begin)
	if n != size || err != nil {
		t.Fatalf("origin got %d, %v", n, err)
	}
	// Only the lower bound is the limiter's doing; a busy machine adds to it.
	if least := time.Duration(float64(size-burst) / rate * float64(time.Second)); took < least*95/100 {
		t.Errorf("%d bytes took %v, less than %v", size, took, least)
	}
	tun.origin.Close()
	tun.ended(t)
}

func TestKillEndsAWaitForTheBudget(t *testing.T) { inBothModes(t, killEndsAWaitForTheBudget) }

func killEndsAWaitForTheBudget(t *testing.T, p *Poller) {
	b := bucket(t, 1, 1460) // a segment at once, the rest takes hours
	tun := start(t, Options{Up: b, Poller: p})
	go tun.client.Write(make([]byte, 8000))
	io.ReadFull(tun.origin, make([]byte, 1460))
	tun.Kill("killed")
	if r := tun.ended(t); r.How != "killed" || r.Up > 2*1460 {
		t.Errorf("result %+v", r)
	}
}

func TestCopyNStopsAfterNBytes(t *testing.T) {
	for _, n := range []int64{0, 1, bufferSize, 3 << 20} {
		in, sender := lab.Connected(t)
		out, receiver := lab.Connected(t)
		data := random(int(n) + 10)
		go sender.Write(data)
		got := make(chan []byte)
		go func() { b, _ := io.ReadAll(receiver); got <- b }()
		var count atomic.Int64
		if err := CopyN(out, in, n, Meter{Count: &count}); err != nil || count.Load() != n {
			t.Errorf("CopyN(%d): counted %d, %v", n, count.Load(), err)
		}
		out.Close()
		if b := <-got; !bytes.Equal(b, data[:n]) {
			t.Errorf("CopyN(%d): %d bytes arrived", n, len(b))
		}
		rest := make([]byte, 10)
		if _, err := io.ReadFull(in, rest); err != nil || !bytes.Equal(rest, data[n:]) {
			t.Errorf("CopyN(%d) took more than it should: %v", n, err)
		}
	}
}

func TestCopyNTellsWhoFailed(t *testing.T) {
	in, sender := lab.Connected(t)
	out, _ := lab.Connected(t)
	sender.Write([]byte("short"))
	sender.Close()
	var count atomic.Int64
	if err := CopyN(out, in, 10, Meter{Count: &count}); err != io.ErrUnexpectedEOF || count.Load() != 5 {
		t.Errorf("early end: %v after %d", err, count.Load())
	}
	in, sender = lab.Connected(t)
	out, receiver := lab.Connected(t)
	receiver.SetLinger(0)
	receiver.Close()
	go sender.Write(make([]byte, 64<<20))
	if err := CopyN(out, in, 64<<20, Meter{Count: &count}); !IsWriteError(err) {
		t.Errorf("receiver gone: %v is not a write error", err)
	}
}

// At 1 B/s a segment of 1460 bytes is due in 24 minutes.
func TestTunnelsThatWaitGoOnWhenTheirLimitIsLifted(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		var lease limit.Lease
		limit.NewTable().Admit(&lease, clientAddr, limit.Limits{Upload: 1, Burst: 4 << 10})
		tun := start(t, Options{Up: &lease.Up, Poller: p})
		data := random(64 << 10)
		tun.client.Write(data)
		tun.client.CloseWrite()
		tun.origin.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(tun.origin, make([]byte, 1)); err != nil {
			t.Fatal(err) // the burst
		}
		lease.Change(limit.Limits{Upload: 1 << 30})
		if got, err := io.ReadAll(tun.origin); err != nil || !bytes.Equal(got, data[1:]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		tun.origin.Close()
		tun.ended(t)
	})
}
