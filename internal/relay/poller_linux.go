package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Poller is where tunnels rest. It is safe for concurrent use.
type Poller struct {
	loops []*loop
	mu    sync.Mutex
	next  int
	memory
}

// maxLoops bounds the goroutines of a Poller: one of them relays some 100,000
// small messages a second.
const maxLoops = 8

// NewPoller starts a goroutine for each processor that Go uses. Close it when no
// tunnel that was given it is left.
func NewPoller() (*Poller, error) {
	p := &Poller{}
	for range min(runtime.GOMAXPROCS(0), maxLoops) {
		l, err := newLoop()
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("poller: %w", err)
		}
		p.loops = append(p.loops, l)
	}
	return p, nil
}

// Close ends the goroutines and waits for them.
func (p *Poller) Close() {
	p.mu.Lock()
	p.memory.stop()
	p.mu.Unlock()
	for _, l := range p.loops {
		l.close()
	}
}

// add puts a tunnel to rest. It says false, and leaves the connections as they
// are, when the kernel has no descriptor or no watch to do it with. The caller
// holds t.mu.
func (p *Poller) add(t *Tunnel, client, origin *net.TCPConn) bool {
	l := p.loopForNext()
	a, ok := detach(client)
	if !ok {
		return false
	}
	b, ok := detach(origin)
	if !ok {
		unix.Close(a)
		return false
	}
	t.rest = rest{loop: l, fds: [2]int32{int32(a), int32(b)}}
	if !l.add(t) {
		t.rest = rest{}
		unix.Close(a)
		unix.Close(b)
		return false
	}
	// Closing takes them out of the runtime's poller; the sockets live on.
	client.Close()
	origin.Close()
	return true
}

// loopForNext deals tunnels out in turn, and keeps count of them.
func (p *Poller) loopForNext() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.loops[p.next%len(p.loops)]
	p.next++
	if p.next%giveBackAfter == 0 {
		n := 0
		for _, l := range p.loops {
			n += l.len()
		}
		p.grown(n)
	}
	return l
}

// detach returns another descriptor of a connection's socket.
func detach(c *net.TCPConn) (fd int, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, false
	}
	err = raw.Control(func(s uintptr) {
		var err error
		fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3)
		ok = err == nil
	})
	return fd, ok && err == nil
}

// loop is one epoll set with its goroutine.
type loop struct {
	epfd, wakefd int
	done         chan struct{}

	mu      sync.Mutex
	tunnels []*Tunnel // by slot
	stamps  []uint32  // of each slot: grows with each use
	free    []uint32
	tick    time.Duration // how often to look for idle tunnels; 0: never
	closed  bool
	spare   int // a descriptor for when there are no others
}

func newLoop() (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, err
	}
	l := &loop{epfd: epfd, wakefd: wakefd, done: make(chan struct{}), spare: newSpare()}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wakefd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}); err != nil {
		l.release()
		return nil, err
	}
	go l.run()
	return l, nil
}

// wakeSlot is the slot of the eventfd, which no tunnel has.
const wakeSlot = -1

// place names a tunnel's use of a slot: slots are used again, and an event may
// come late.
type place struct{ slot, stamp uint32 }

// event is what the kernel keeps for a socket: place and side.
func (p place) event(s Side, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(p.slot), Pad: int32(p.stamp<<1 | uint32(s-Client))}
}

func placeOf(ev *unix.EpollEvent) (place, Side) {
	return place{uint32(ev.Fd), uint32(ev.Pad) >> 1}, Client + Side(ev.Pad&1)
}

// add watches the sockets of a tunnel. It says false, and has forgotten the
// tunnel, when the kernel has no memory for that or fs.epoll.max_user_watches is
// reached. The caller holds t.mu, so that an event that comes at once finds the
// tunnel at rest.
func (l *loop) add(t *Tunnel) bool {
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		t.rest.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		t.rest.slot = uint32(len(l.tunnels))
		l.tunnels = append(l.tunnels, nil)
		l.stamps = append(l.stamps, 0)
	}
	t.rest.stamp = l.stamps[t.rest.slot]
	l.tunnels[t.rest.slot] = t
	sooner := t.idle > 0 && (l.tick == 0 || t.idle/idleShare < l.tick)
	if sooner {
		l.tick = max(t.idle/idleShare, minTick)
	}
	l.mu.Unlock()
	for _, s := range [2]Side{Client, Origin} {
		events := uint32(unix.EPOLLET) // errors and hang-ups are told always
		if !t.flowFrom(s).closed.Load() {
			events |= unix.EPOLLIN | unix.EPOLLRDHUP
		}
		if unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, t.rest.fd(s), t.rest.event(s, events)) != nil {
			l.remove(t.rest)
			return false
		}
	}
	if sooner {
		l.wake()
	}
	return true
}

// remove forgets a tunnel and stops watching its sockets, which stay open.
func (l *loop) remove(r rest) {
	for _, fd := range r.fds {
		unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, int(fd), nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tunnels[r.slot] = nil
	l.stamps[r.slot] = (l.stamps[r.slot] + 1) << 1 >> 1
	l.free = append(l.free, r.slot)
}

// len returns the number of tunnels at rest.
func (l *loop) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tunnels) - len(l.free)
}

// at returns who is in a place, or nil when whoever it was has left.
func (l *loop) at(p place) *Tunnel {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(p.slot) >= len(l.tunnels) || l.stamps[p.slot] != p.stamp {
		return nil
	}
	return l.tunnels[p.slot]
}

// An idle timeout is found out late by at most one part in idleShare of it, but
// the loop does not look more often than minTick.
const (
	idleShare = 16
	minTick   = 10 * time.Millisecond
)

// eventsAtOnce bounds what one epoll_wait returns.
const eventsAtOnce = 128

func (l *loop) run() {
	defer close(l.done)
	var events [eventsAtOnce]unix.EpollEvent
	buf := make([]byte, bufferSize)
	next := time.Now()
	for {
		n, err := unix.EpollWait(l.epfd, events[:], l.timeout(next))
		if err != nil && err != unix.EINTR {
			panic(os.NewSyscallError("epoll_wait", err)) // only a wrong call fails otherwise
		}
		for i := range max(n, 0) {
			ev := &events[i]
			if ev.Fd == wakeSlot {
				if l.drainWake() {
					return
				}
				continue
			}
			p, side := placeOf(ev)
			if t := l.at(p); t != nil {
				t.ready(p, side, ev.Events, buf)
			}
		}
		if now := time.Now(); l.due(&next, now) {
			l.sweep()
		}
	}
}

// timeout is how long to wait for events, in milliseconds.
func (l *loop) timeout(next time.Time) int {
	l.mu.Lock()
	tick := l.tick
	l.mu.Unlock()
	if tick == 0 {
		return -1
	}
	return max(0, min(int(time.Until(next)/time.Millisecond)+1, int(tick/time.Millisecond)+1))
}

func (l *loop) due(next *time.Time, now time.Time) bool {
	if now.Before(*next) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tick == 0 {
		return false
	}
	*next = now.Add(l.tick)
	return true
}

// sweep ends the tunnels that are idle.
func (l *loop) sweep() {
	l.mu.Lock()
	var list []*Tunnel
	for _, t := range l.tunnels {
		if t != nil && t.idle > 0 && t.quiet() >= t.idle {
			list = append(list, t)
		}
	}
	if len(l.free) == len(l.tunnels) {
		l.tick = 0
	}
	l.mu.Unlock()
	for _, t := range list {
		t.checkIdle()
	}
}

func (l *loop) wake() {
	one := [8]byte{1}
	unix.Write(l.wakefd, one[:])
}

// drainWake tells whether the loop was closed.
func (l *loop) drainWake() bool {
	var b [8]byte
	unix.Read(l.wakefd, b[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *loop) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake()
	<-l.done
	l.release()
}

func (l *loop) release() {
	for _, fd := range [3]int{l.spare, l.wakefd, l.epfd} {
		unix.Close(fd)
	}
}

// conn makes a connection of a socket again, and closes the descriptor. The
// standard library needs a second one for a moment; when there is none, the loop
// lends its spare.
func (l *loop) conn(fd int) (*net.TCPConn, error) {
	f := os.NewFile(uintptr(fd), "")
	c, err := net.FileConn(f)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		l.mu.Lock()
		defer l.mu.Unlock()
		unix.Close(l.spare)
		c, err = net.FileConn(f)
		f.Close()
		l.spare = newSpare()
	} else {
		f.Close()
	}
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// newSpare returns a descriptor that is good for nothing but giving it up, or -1.
func newSpare() int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1
	}
	return fd
}
