package relay

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lingerTime is for how long a loop that has a processor set aside waits for news
// without telling the Go scheduler so.
//
// A thread that enters a blocking system call in the ordinary way has its processor
// (a P) taken away by the runtime's monitor, must win one back when it returns, and
// sets the monitor polling every 20 µs for a while: some ten switches of threads for
// each wake-up, which is more than the work that it wakes up for. While tunnels are
// busy, waits are short; so the loop keeps its P for them, as if it computed. The
// scheduler and the garbage collector interrupt it by a signal when they want it,
// which ends epoll_wait (signal(7)), every 10 ms at the latest. A loop that has had
// no news for this long waits in the ordinary way, and costs nothing.
const lingerTime = 100 * time.Millisecond

// await waits for news, for at most a number of milliseconds; -1: for ever. EINTR
// is no news. Before a long wait it gives back what only busy tunnels need.
func (l *loop) await(events []unix.EpollEvent, patience int) (int, error) {
	wait := unix.EpollWait
	if l.aside {
		wait = rawEpollWait
	}
	linger := int((int64(lingerTime) - (l.now - l.newsAt)) / int64(time.Millisecond))
	switch {
	case patience == 0 || linger > 0 && patience > 0 && patience <= linger:
		return wait(l.epfd, events, patience)
	case linger > 0:
		return wait(l.epfd, events, linger) // and come back
	}
	for _, p := range l.pipes {
		l.closePipe(p)
	}
	l.pipes = l.pipes[:0]
	return unix.EpollWait(l.epfd, events, patience)
}

// rawEpollWait is epoll_wait without a word to the scheduler.
func rawEpollWait(epfd int, events []unix.EpollEvent, patience int) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(patience), 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
