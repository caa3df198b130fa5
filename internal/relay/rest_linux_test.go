package relay

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
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

func TestATunnelAtRestHasNoGoroutine(t *testing.T) {
	p := newPoller(t)
	before := runtime.NumGoroutine()
	var tuns []*tunnel
	for range 50 {
		tuns = append(tuns, start(t, Options{Poller: p, Idle: time.Minute}))
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("50 tunnels at rest have %d goroutines", n)
	}
	for _, tun := range tuns {
		tun.close(t)
	}
}

func TestSmallMessagesDoNotWakeATunnelAndLargeOnesDo(t *testing.T) {
	tun := start(t, Options{Poller: newPoller(t)})
	for _, size := range []int{1, 256, bufferSize - 1} {
		for range 100 {
			exchange(t, tun, random(size))
		}
		if !tun.atRest() {
			t.Fatalf("messages of %d bytes woke the tunnel", size)
		}
	}
	exchange(t, tun, random(8<<20))
	tun.settle(t)
	exchange(t, tun, random(10))
	r := tun.close(t)
	if want := int64(100*(1+256+bufferSize-1) + 8<<20 + 10); r.Up != want || r.Down != want {
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

func TestChattyTunnelsRestWithoutBeingQuiet(t *testing.T) {
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := pair(t)
	out, origin := pair(t)
	tun.client, tun.origin = client, origin
	tun.Start(near, out, Options{Poller: newPoller(t)}, func(r Result) { tun.result <- r })
	for i := 0; !tun.atRest(); i++ {
		if i > 10_000 {
			t.Fatal("10,000 small messages did not bring the tunnel to rest")
		}
		exchange(t, tun, random(100))
	}
	tun.close(t)
}

// TestNothingIsLostBetweenTheModes sends bursts of all sizes with pauses of all
// lengths both ways at once, so that tunnels go to rest and wake in every state.
func TestNothingIsLostBetweenTheModes(t *testing.T) {
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
			b.pause = restAfter + time.Duration(rng.IntN(20)-10)*time.Millisecond
		case 1, 2:
			b.pause = time.Duration(rng.IntN(3000)) * time.Microsecond
		}
		list = append(list, b)
	}
	return list
}

func TestWithoutDescriptorsATunnelStaysActive(t *testing.T) {
	p := newPoller(t)
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := pair(t)
	out, origin := pair(t)
	tun.client, tun.origin = client, origin
	restore := limitDescriptors(t, 4) // whatever is closed meanwhile
	tun.Start(near, out, Options{Poller: p}, func(r Result) { tun.result <- r })
	time.Sleep(3 * restAfter)
	exchange(t, tun, random(100))
	if tun.atRest() {
		t.Error("at rest without a descriptor for it")
	}
	restore()
	tun.settle(t)
	exchange(t, tun, random(1<<20))
	tun.close(t)
}

func TestWithoutDescriptorsATunnelWakesAllTheSame(t *testing.T) {
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

func TestAnIdleTunnelAtRestIsFoundWithoutATimerOfItsOwn(t *testing.T) {
	p := newPoller(t)
	tun := start(t, Options{Poller: p, Idle: 300 * time.Millisecond})
	tun.mu.Lock()
	if tun.active != nil {
		t.Error("a tunnel at rest keeps what active ones need")
	}
	tun.mu.Unlock()
	if r := tun.ended(t); r.How != ByIdle {
		t.Errorf("result %+v", r)
	}
}

// A direction that waits for its budget is asked for nothing: going to rest with
// bytes that were charged for would charge for them once more.
func TestATunnelDoesNotRestWhileItWaitsForItsBudget(t *testing.T) {
	const rate = 8000 // a segment of 1460 bytes takes longer than restAfter
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := pair(t)
	out, origin := pair(t)
	tun.client, tun.origin = client, origin
	client.Write(make([]byte, 12*1460))
	tun.Start(near, out, Options{Up: bucket(t, rate, 1460), Poller: newPoller(t)}, func(r Result) { tun.result <- r })
	origin.CloseWrite() // so that the other direction does not take the rest back
	for seen := 0; seen < 11*1460; {
		n, err := origin.Read(make([]byte, 1460))
		if err != nil {
			t.Fatal(err)
		}
		if seen += n; tun.atRest() {
			t.Fatalf("at rest after %d bytes, with more to come", seen)
		}
	}
	tun.close(t)
}

func TestATunnelThatCannotBeWatchedStaysActive(t *testing.T) {
	p := &Poller{loops: []*loop{{epfd: -1}}} // as if fs.epoll.max_user_watches were reached
	tun := &tunnel{result: make(chan Result, 1)}
	near, client := pair(t)
	out, origin := pair(t)
	tun.client, tun.origin = client, origin
	tun.Start(near, out, Options{Poller: p}, func(r Result) { tun.result <- r })
	time.Sleep(3 * restAfter)
	client.SetDeadline(time.Now().Add(20 * time.Second))
	origin.SetDeadline(time.Now().Add(20 * time.Second))
	exchange(t, tun, random(100))
	if n := p.loops[0].len(); n != 0 {
		t.Errorf("%d tunnels are taken for watched", n)
	}
	tun.close(t)
}
