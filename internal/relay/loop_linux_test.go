package relay

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/lab"
)

func newPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller(2, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// end closes both ends and waits.
func (tun *tunnel) close(t testing.TB) Result {
	tun.client.Close()
	tun.origin.Close()
	return tun.ended(t)
}

func TestATunnelHasNoGoroutine(t *testing.T) {
	p := newPoller(t)
	before := runtime.NumGoroutine()
	var tuns []*tunnel
	for range 50 {
		tuns = append(tuns, start(t, Options{Poller: p, Idle: time.Minute}))
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("50 tunnels have %d goroutines", n)
	}
	for _, tun := range tuns {
		tun.close(t)
	}
}

func TestMessagesOfAllSizesGoToAndFro(t *testing.T) {
	tun := start(t, Options{Poller: newPoller(t)})
	want := int64(0)
	for _, size := range []int{1, 256, bufferSize - 1, bufferSize, bufferSize + 1, 8 << 20, 10} {
		for range 10 {
			exchange(t, tun, random(size))
			want += int64(size)
		}
	}
	if r := tun.close(t); r.Up != want || r.Down != want {
		t.Errorf("counted %d up and %d down, want %d", r.Up, r.Down, want)
	}
}

// exchange sends a message to the origin, and back.
func exchange(t testing.TB, tun *tunnel, msg []byte) {
	t.Helper()
	got := make([]byte, len(msg))
	for _, way := range [][2]*net.TCPConn{{tun.client, tun.origin}, {tun.origin, tun.client}} {
		sent := make(chan error, 1)
		go func() { _, err := way[0].Write(msg); sent <- err }()
		if _, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes: %v, equal %v", len(msg), err, bytes.Equal(got, msg))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingIsLostInAnyState sends bursts of all sizes with pauses of all lengths
// both ways at once, with and without budgets, to fast and slow receivers.
func TestNothingIsLostInAnyState(t *testing.T) {
	p := newPoller(t)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			o := Options{Poller: p, Idle: time.Minute}
			if i%3 == 0 {
				o.Up, o.Down = bucket(t, 20<<20, 32<<10), bucket(t, 20<<20, 4<<10)
			}
			tun := start(t, o)
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			var ends sync.WaitGroup
			for _, way := range [][2]*net.TCPConn{{tun.client, tun.origin}, {tun.origin, tun.client}} {
				want := make(chan []byte, 1)
				bursts := makeBursts(rng)
				ends.Go(func() {
					var all []byte
					for _, b := range bursts {
						way[0].Write(b.data)
						all = append(all, b.data...)
						time.Sleep(b.pause)
					}
					way[0].CloseWrite()
					want <- all
				})
				slow := rng.IntN(2) == 0
				ends.Go(func() {
					var got bytes.Buffer
					buf := make([]byte, 64<<10)
					for {
						n, err := way[1].Read(buf)
						got.Write(buf[:n])
						if err != nil {
							break
						}
						if slow && n > 16<<10 {
							time.Sleep(time.Millisecond)
						}
					}
					if w := <-want; !bytes.Equal(got.Bytes(), w) {
						t.Errorf("tunnel %d: %d bytes arrived of %d", i, got.Len(), len(w))
					}
				})
			}
			ends.Wait()
			if r := tun.ended(t); r.How != ByFIN {
				t.Errorf("tunnel %d: %+v", i, r)
			}
		})
	}
	wg.Wait()
}

type burst struct {
	data  []byte
	pause time.Duration
}

func makeBursts(rng *rand.Rand) []burst {
	var list []burst
	for range 30 {
		size := 1 + rng.IntN(500)
		switch rng.IntN(8) {
		case 0:
			size = 1 + rng.IntN(400<<10)
		case 1:
			size = bufferSize - 2 + rng.IntN(5)
		}
		b := burst{data: make([]byte, size)}
		for i := range b.data {
			b.data[i] = byte(rng.Uint32())
		}
		switch rng.IntN(6) {
		case 0:
			b.pause = time.Duration(rng.IntN(100)) * time.Millisecond
		case 1, 2:
			b.pause = time.Duration(rng.IntN(3000)) * time.Microsecond
		}
		list = append(list, b)
	}
	return list
}

func TestWithoutDescriptorsGoroutinesRelay(t *testing.T) {
	p := newPoller(t)
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := lab.Connected(t)
	out, origin := lab.Connected(t)
	tun.client, tun.origin = client, origin
	restore := limitDescriptors(t, 4) // whatever is closed meanwhile
	tun.Start(near, out, Options{Poller: p, Early: []byte("early,")}, func(r Result) { tun.result <- r })
	if tun.seat.taken() {
		t.Error("in a loop without a descriptor for it")
	}
	if _, err := io.ReadFull(origin, make([]byte, 6)); err != nil {
		t.Error(err)
	}
	exchange(t, tun, random(100))
	restore()
	exchange(t, tun, random(1<<20))
	tun.close(t)
}

func TestWithoutDescriptorsForPipesALoopCopies(t *testing.T) {
	tun := start(t, Options{Poller: newPoller(t)})
	restore := useUpDescriptors(t)
	exchange(t, tun, random(4<<20))
	restore()
	if r := tun.close(t); r.Up != 4<<20 {
		t.Errorf("result %+v", r)
	}
}

// useUpDescriptors opens files until there is no descriptor left.
func useUpDescriptors(t testing.TB) (restore func()) {
	t.Helper()
	raise := limitDescriptors(t, 200)
	var opened []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		opened = append(opened, fd)
	}
	restore = sync.OnceFunc(func() {
		for _, fd := range opened {
			unix.Close(fd)
		}
		raise()
	})
	t.Cleanup(restore)
	return restore
}

// limitDescriptors keeps new descriptors below a number; those above live on.
func limitDescriptors(t testing.TB, below uint64) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = below
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restore = sync.OnceFunc(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
	t.Cleanup(restore)
	return restore
}

func TestAnIdleTunnelIsFoundWithoutATimerOfItsOwn(t *testing.T) {
	tun := start(t, Options{Poller: newPoller(t), Idle: 300 * time.Millisecond})
	if r := tun.ended(t); r.How != ByIdle {
		t.Errorf("result %+v", r)
	}
}

func TestATunnelThatWaitsForItsBudgetIsNotIdle(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		const rate = 4000 // a segment of 1460 bytes takes longer than the idle timeout
		tun := start(t, Options{Up: bucket(t, rate, 1460), Poller: p, Idle: 100 * time.Millisecond})
		tun.client.Write(make([]byte, 4*1460))
		if n, err := io.ReadFull(tun.origin, make([]byte, 4*1460)); err != nil {
			t.Errorf("%v after %d bytes", err, n)
		}
		if r := tun.ended(t); r.How != ByIdle || r.Up != 4*1460 {
			t.Errorf("result %+v", r)
		}
	})
}

func TestATunnelThatCannotBeWatchedIsRelayedByGoroutines(t *testing.T) {
	p := &Poller{loops: []*loop{{epfd: -1}}} // as if fs.epoll.max_user_watches were reached
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := lab.Connected(t)
	out, origin := lab.Connected(t)
	tun.client, tun.origin = client, origin
	tun.Start(near, out, Options{Poller: p}, func(r Result) { tun.result <- r })
	client.SetDeadline(time.Now().Add(20 * time.Second))
	origin.SetDeadline(time.Now().Add(20 * time.Second))
	exchange(t, tun, random(100))
	if n := p.loops[0].len(); n != 0 {
		t.Errorf("%d tunnels are taken for watched", n)
	}
	tun.close(t)
}

// A receiver that is full, and a sender that resets: the receiver is told at once,
// not when it has taken what there was before.
func TestAResetBehindAFullReceiverIsPassedOn(t *testing.T) {
	tun := start(t, Options{Poller: newPoller(t)})
	tun.client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for {
		if _, err := tun.client.Write(make([]byte, 1<<20)); err != nil {
			break // everything on the way is full
		}
	}
	tun.client.SetLinger(0)
	tun.client.Close()
	if r := tun.ended(t); r.How != ByReset || r.First != Client {
		t.Errorf("result %+v", r)
	}
}

func TestTurnsComeInOrder(t *testing.T) {
	l := &loop{}
	var order []int
	for i := range 5 {
		l.busy.push(turn{from: Side(i)})
	}
	for l.busy.len() > 0 {
		w := l.busy.pop()
		order = append(order, int(w.from))
		if len(order) == 3 {
			l.busy.push(turn{from: 9})
		}
	}
	if fmt.Sprint(order) != "[0 1 2 3 4 9]" {
		t.Errorf("turns in order %v", order)
	}
}

// Tunnels whose receivers take nothing keep no more pipes than a loop may have, and
// lose nothing.
func TestStalledTunnelsShareFewPipes(t *testing.T) {
	p, err := NewPoller(1, false)
	if err != nil {
		t.Fatal(err)
	}
	const tunnels, size = mostPipes + 30, 7 << 20 // more than fits into all buffers on the way
	var tuns []*tunnel
	var ends sync.WaitGroup
	for range tunnels {
		tun := start(t, Options{Poller: p})
		tuns = append(tuns, tun)
		tun.client.SetWriteBuffer(64 << 10)
		ends.Go(func() { tun.client.Write(make([]byte, size)); tun.client.CloseWrite() })
	}
	stalled := func() bool {
		for _, tun := range tuns {
			tun.mu.Lock()
			stuck := tun.up.stuck
			tun.mu.Unlock()
			if !stuck {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(60 * time.Second); !stalled(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the tunnels do not stall")
		}
	}
	if n, most := p.loops[0].piped.Load(), p.loops[0].mostPipes; n != most {
		t.Errorf("%d pipes are held, want %d", n, most)
	}
	for i, tun := range tuns {
		n, err := io.Copy(io.Discard, tun.origin)
		if n != size || err != nil {
			t.Errorf("tunnel %d: %d bytes, %v", i, n, err)
		}
		tun.origin.Close()
		if r := tun.ended(t); r.Up != size || r.How != ByFIN {
			t.Errorf("tunnel %d: %+v", i, r)
		}
	}
	ends.Wait()
	if n := p.loops[0].piped.Load(); n > sparePipes {
		t.Errorf("%d pipes are left", n)
	}
	p.Close()
}
