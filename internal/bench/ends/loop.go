//go:build linux

package ends

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// loop is one thread with an epoll set of its own. The Go scheduler would do the
// same work with goroutines, but its threads look for work by spinning, on cores
// that the proxy under test is to have.
type loop struct {
	epoll, wake int
	handlers    map[int]handler // by descriptor; touched by the loop's thread alone

	mu    sync.Mutex
	tasks []func()
	ended bool
	once  sync.Once
}

// handler is called when its descriptor is ready. When it returns false, the
// descriptor is closed.
type handler func(events uint32) (keep bool)

// newLoop starts a loop. An urgent one preempts whatever else runs on the
// machine, as far as the process may ask for that.
func newLoop(urgent bool) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &loop{epoll: ep, wake: wake, handlers: make(map[int]handler)}
	if err := l.watch(wake, unix.EPOLLIN); err != nil {
		l.release()
		return nil, err
	}
	go l.run(urgent)
	return l, nil
}

func (l *loop) run(urgent bool) {
	runtime.LockOSThread() // never unlocked: the thread ends with the loop
	if urgent {
		makeUrgent()
	}
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			panic(fmt.Sprintf("epoll_wait: %v", err)) // EBADF or EINVAL: a fault of this package
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd == l.wake {
				if l.runTasks() {
					l.release()
					return
				}
				continue
			}
			if h := l.handlers[fd]; h != nil && !h(e.Events) {
				l.drop(fd)
			}
		}
	}
}

// makeUrgent gives the calling thread a real-time priority; see sched(7).
// Without CAP_SYS_NICE it stays as it is.
func makeUrgent() {
	unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
}

func (l *loop) runTasks() (ended bool) {
	var count [8]byte
	unix.Read(l.wake, count[:])
	l.mu.Lock()
	tasks := l.tasks
	l.tasks, ended = nil, l.ended
	l.mu.Unlock()
	for _, task := range tasks {
		task()
	}
	return ended
}

// do runs f on the loop's thread and waits for it.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	l.post(func() { f(); close(done) })
	<-done
}

// post has f run on the loop's thread, and does not wait.
func (l *loop) post(f func()) {
	l.mu.Lock()
	l.tasks = append(l.tasks, f)
	l.mu.Unlock()
	unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// close ends the loop and closes what it watches. Nothing may be asked of the
// loop after it.
func (l *loop) close() {
	l.once.Do(func() {
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.post(func() {})
	})
}

func (l *loop) release() {
	for fd := range l.handlers {
		unix.Close(fd)
	}
	unix.Close(l.wake)
	unix.Close(l.epoll)
}

func (l *loop) watch(fd int, events uint32) error {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// add watches a descriptor, which the loop owns from here on. On the loop's
// thread only, like all below.
func (l *loop) add(fd int, events uint32, h handler) error {
	if err := l.watch(fd, events); err != nil {
		unix.Close(fd)
		return err
	}
	l.handlers[fd] = h
	return nil
}

// change replaces what a descriptor is watched for, and by whom.
func (l *loop) change(fd int, events uint32, h handler) {
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	l.handlers[fd] = h
}

// take gives a descriptor back to the caller.
func (l *loop) take(fd int) {
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	delete(l.handlers, fd)
}

func (l *loop) drop(fd int) {
	delete(l.handlers, fd)
	unix.Close(fd)
}

// send returns a handler that writes block for as long as the peer takes it.
func send(fd int, block []byte) handler {
	return func(uint32) bool {
		_, err := unix.Write(fd, block)
		return err == nil || err == unix.EAGAIN || err == unix.EINTR
	}
}

// receive returns a handler that reads and drops what comes, and counts it. For
// TCP, MSG_TRUNC drops without copying (tcp(7)), so that scratch stays as it is:
// these ends shall not be what a measurement waits for.
func receive(fd int, scratch []byte, counts ...*atomic.Int64) handler {
	return func(uint32) bool {
		n, _, err := unix.Recvfrom(fd, scratch, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		if n > 0 {
			for _, c := range counts {
				c.Add(int64(n))
			}
			return true
		}
		return err == unix.EAGAIN || err == unix.EINTR
	}
}
