//go:build linux

package ends

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Clients is the near end of tunnels: all clients, in one thread.
type Clients struct {
	loop   *loop
	origin *Origin
	block  []byte
}

// NewClients starts the clients of an origin. Close ends them.
func NewClients(o *Origin) (*Clients, error) {
	l, err := newLoop(false)
	if err != nil {
		return nil, err
	}
	return &Clients{loop: l, origin: o, block: make([]byte, blockSize)}, nil
}

// Close closes all connections.
func (c *Clients) Close() { c.loop.close() }

// Via is the proxy that tunnels go through.
type Via struct {
	Port     int // on 127.0.0.1
	Protocol Protocol
	Source   [4]byte // the client's own address; zero: 127.0.0.1
}

// dialTimeout is how long one step of opening a tunnel may take, in seconds.
const dialTimeout = 20

// dial opens a tunnel and takes the steps of then through it. The descriptor
// blocks, with a timeout.
func (c *Clients) dial(v Via, then ...step) (fd int, err error) {
	fd, err = socket(v.Source, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	limit := unix.Timeval{Sec: dialTimeout}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	if err := connect(fd, v.Port); err != nil {
		return fd, os.NewSyscallError("connect", err)
	}
	for _, s := range append(v.Protocol.opening(c.origin.port), then...) {
		if err := exchange(fd, s); err != nil {
			return fd, fmt.Errorf("open a tunnel by %s: %w", v.Protocol, err)
		}
	}
	return fd, nil
}

// connect goes on where a signal interrupts: a second connect(2) would be an error.
func connect(fd, port int) error {
	err := unix.Connect(fd, &unix.SockaddrInet4{Addr: loopback, Port: port})
	for err == unix.EINTR {
		ready := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err = unix.Poll(ready[:], dialTimeout*1000); err == nil {
			if code, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); code != 0 {
				err = unix.Errno(code)
			}
		}
	}
	return err
}

func socket(source [4]byte, flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	noDelay(fd)
	if source != [4]byte{} {
		// Port 0 would be fixed here already, and be one that nobody else uses.
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: source}); err != nil {
			unix.Close(fd)
			return -1, os.NewSyscallError("bind", err)
		}
	}
	return fd, nil
}

var errEarlyEnd = errors.New("the proxy closed the connection")

func exchange(fd int, s step) error {
	_, err := unix.Write(fd, s.send)
	for err == unix.EINTR {
		_, err = unix.Write(fd, s.send)
	}
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	if s.complete == nil {
		return nil
	}
	var buf [4096]byte
	for n := 0; n < len(buf); {
		k, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		if k == 0 {
			return errEarlyEnd
		}
		n += k
		if end, err := s.complete(buf[:n]); err != nil || end > 0 {
			return err
		}
	}
	return errors.New("an answer without end")
}

// dialers is how many tunnels are opened at a time.
const dialers = 8

// Load is a number of tunnels at work, or idle.
type Load struct {
	clients *Clients
	fds     []int
	up      bool
	base    int64          // what the origin had received before
	counts  []atomic.Int64 // of each tunnel: bytes received, or round trips
	total   atomic.Int64
	trips   []*trips
}

// open opens n tunnels, telling the origin by mode what they are for.
func (c *Clients) open(v Via, n int, first step) (*Load, error) {
	l := &Load{clients: c, fds: make([]int, n), counts: make([]atomic.Int64, n)}
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, dialers)
	for range dialers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				fd, err := c.dial(v, first)
				if err != nil {
					errs <- fmt.Errorf("tunnel %d of %d: %w", i+1, n, err)
					next.Add(int64(n))
					return
				}
				unix.SetNonblock(fd, true)
				l.fds[i] = fd
			}
		}()
	}
	wg.Wait()
	select {
	case err := <-errs:
		for _, fd := range l.fds {
			if fd != 0 {
				unix.Close(fd)
			}
		}
		return nil, err
	default:
		return l, nil
	}
}

// work has the loop watch all tunnels of a load.
func (l *Load) work(events uint32, handlerOf func(i, fd int) handler) {
	l.clients.loop.do(func() {
		for i, fd := range l.fds {
			// The only error is a full epoll set, which the counts show.
			l.clients.loop.add(fd, events, handlerOf(i, fd))
		}
	})
}

// Download opens n tunnels whose origin sends without end.
func (c *Clients) Download(v Via, n int) (*Load, error) {
	l, err := c.open(v, n, silent(modeDown))
	if err != nil {
		return nil, err
	}
	l.work(unix.EPOLLIN, func(i, fd int) handler { return receive(fd, c.block, &l.counts[i], &l.total) })
	return l, nil
}

// Upload opens n tunnels whose client sends without end.
func (c *Clients) Upload(v Via, n int) (*Load, error) {
	l, err := c.open(v, n, silent(modeUp))
	if err != nil {
		return nil, err
	}
	l.up, l.base = true, c.origin.received.Load()
	l.work(unix.EPOLLOUT, func(_, fd int) handler { return send(fd, c.block) })
	return l, nil
}

// Idle opens n tunnels, makes one round trip through each, and leaves them.
func (c *Clients) Idle(v Via, n int) (*Load, error) {
	l, err := c.open(v, n, trip(modeEcho))
	if err != nil {
		return nil, err
	}
	// One byte would be more than is due: the tunnel has ended then.
	l.work(unix.EPOLLIN|unix.EPOLLRDHUP, func(i, _ int) handler {
		return func(uint32) bool { l.counts[i].Add(1); l.total.Add(1); return false }
	})
	return l, nil
}

// silent is a first message that nothing answers.
func silent(mode byte) step {
	s := trip(mode)
	s.complete = nil
	return s
}

// Total is what has arrived so far: bytes, or round trips; for idle tunnels, how
// many are lost.
func (l *Load) Total() int64 {
	if l.up {
		return l.clients.origin.received.Load() - l.base
	}
	return l.total.Load()
}

// Each is the same for each tunnel. Of tunnels that send up nothing is known.
func (l *Load) Each() []int64 {
	each := make([]int64, len(l.counts))
	for i := range each {
		each[i] = l.counts[i].Load()
	}
	return each
}

// Close resets all connections, which leaves no TIME_WAIT behind.
func (l *Load) Close() {
	l.clients.loop.do(func() {
		for _, fd := range l.fds {
			if l.clients.loop.handlers[fd] == nil {
				continue // it has failed and was closed
			}
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			l.clients.loop.drop(fd)
		}
	})
}

// Once opens a tunnel, makes one round trip through it, and closes it.
func (c *Clients) Once(v Via) error {
	fd, err := c.dial(v, trip(modeEcho))
	if err != nil {
		return err
	}
	return os.NewSyscallError("close", unix.Close(fd))
}
