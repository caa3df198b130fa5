package relay

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one epoll set with its goroutine. Sockets are watched edge-triggered:
// the kernel tells of each news once (epoll(7)).
//
// Whoever has news is served at once, in what one buffer takes; who has more than
// that waits in a queue for turns of splicing, and the kernel is asked for news
// between turns. So a message of a quiet tunnel waits for a turn or two of the busy
// ones, however many they are.
type loop struct {
	epfd, wakefd int
	done         chan struct{}
	aside        bool         // GOMAXPROCS has one more for it
	piped        atomic.Int32 // pipes that there are, held ones included
	mostPipes    int32

	// For the goroutine alone.
	now    int64 // since epoch, when it last looked
	newsAt int64 // since epoch, when there was something to do
	buf    []byte
	pipes  []pipe    // empty ones
	busy   queue     // whose turn is next
	timers timers    // who waits for a budget
	idle   []*Tunnel // found idle, and yet to be ended
	late   []func()  // to be done when nobody else has the tunnel in hand
	ended  []ending

	mu     sync.Mutex
	seats  []*Tunnel // by slot
	stamps []uint32  // of each slot: grows with each use
	free   []uint32
	kicked []turn          // who was seated with bytes in hand
	asked  []chan struct{} // to be closed when the loop comes round
	tick   time.Duration   // how often to look for idle tunnels; 0: never
	closed bool
}

func newLoop(aside bool, mostPipes int32) (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, err
	}
	l := &loop{epfd: epfd, wakefd: wakefd, done: make(chan struct{}), aside: aside, mostPipes: mostPipes, buf: make([]byte, bufferSize)}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wakefd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}); err != nil {
		l.release()
		return nil, err
	}
	go l.run()
	return l, nil
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
	for _, p := range l.pipes {
		l.closePipe(p)
	}
	unix.Close(l.wakefd)
	unix.Close(l.epfd)
}

// eventsAtOnce bounds what one epoll_wait returns.
const eventsAtOnce = 128

// turnsTime is for how long busy tunnels have their turns before the kernel is
// asked for news again, in nanoseconds.
const turnsTime = 50_000

func (l *loop) run() {
	defer close(l.done)
	var events [eventsAtOnce]unix.EpollEvent
	var swept int64
	for {
		n, err := l.await(events[:], l.patience(swept))
		if err != nil && err != unix.EINTR {
			panic(os.NewSyscallError("epoll_wait", err)) // only a wrong call fails otherwise
		}
		l.now = sinceEpoch()
		if n > 0 || l.busy.len() > 0 || l.timers.due(l.now) {
			l.newsAt = l.now
		}
		for i := range max(n, 0) {
			ev := &events[i]
			if ev.Fd == wakeSlot {
				if l.woken() {
					return
				}
				continue
			}
			p, side := placeOf(ev)
			if t := l.at(p); t != nil {
				l.told(t, p, side, ev.Events)
			}
		}
		late := l.late
		l.late = nil
		for _, f := range late {
			f()
		}
		for l.timers.due(l.now) {
			l.turn(l.timers.pop(), true)
		}
		for begin := l.now; l.busy.len() > 0 && l.now-begin < turnsTime; l.now = sinceEpoch() {
			l.turn(l.busy.pop(), false)
		}
		if l.sweep(swept) {
			swept = l.now
		}
		l.endIdle()
		l.timers.forget(l.stays)
		for _, e := range l.ended {
			e.end(e.result)
		}
		clear(l.ended)
		l.ended = l.ended[:0]
	}
}

// patience is how long to wait for news, in milliseconds; -1: for ever.
func (l *loop) patience(swept int64) int {
	if l.busy.len() > 0 || len(l.idle) > 0 {
		return 0
	}
	if len(l.late) > 0 {
		return 1
	}
	at := l.timers.next()
	l.mu.Lock()
	if l.tick > 0 {
		at = min(at, swept+int64(l.tick))
	}
	l.mu.Unlock()
	if at == never {
		return -1
	}
	const most = int64(time.Hour)
	return int((min(max(at-sinceEpoch(), 0), most) + int64(time.Millisecond) - 1) / int64(time.Millisecond))
}

// wakeSlot is the slot of the eventfd, which no tunnel has.
const wakeSlot = -1

func (l *loop) wake() {
	one := [8]byte{1}
	unix.Write(l.wakefd, one[:])
}

// woken takes in what other goroutines have left. It tells whether the loop was
// closed.
func (l *loop) woken() bool {
	var b [8]byte
	unix.Read(l.wakefd, b[:])
	l.mu.Lock()
	kicked, asked, closed := l.kicked, l.asked, l.closed
	l.kicked, l.asked = nil, nil
	l.mu.Unlock()
	for _, k := range kicked {
		l.turn(k, false)
	}
	for _, c := range asked {
		close(c)
	}
	return closed
}

// An idle timeout is found out late by at most one part in idleShare of it, but
// the loop does not look more often than minTick.
const idleShare = 16

// sweep finds the tunnels that are idle, if it is time to look for them.
func (l *loop) sweep(swept int64) bool {
	l.mu.Lock()
	if l.tick == 0 || len(l.idle) > 0 || l.now-swept < int64(l.tick) {
		l.mu.Unlock()
		return false
	}
	for _, t := range l.seats {
		if t != nil && t.idle > 0 && t.quiet() >= t.idle {
			l.idle = append(l.idle, t)
		}
	}
	if len(l.free) == len(l.seats) {
		l.tick = 0
	}
	l.mu.Unlock()
	return true
}

// idleAtOnce is how many idle tunnels are ended before the kernel is asked for news
// again: thousands fall idle together when what is behind them is cut off.
const idleAtOnce = 16

// endIdle ends some of the tunnels that were found idle.
func (l *loop) endIdle() {
	n := min(len(l.idle), idleAtOnce)
	for _, t := range l.idle[:n] {
		t.checkIdle()
	}
	clear(l.idle[:n])
	if l.idle = l.idle[n:]; len(l.idle) == 0 {
		l.idle = nil
	}
}
