//go:build linux

package ends

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Churn is a number of short tunnels at once, each followed by the next.
type Churn struct {
	clients *Clients
	via     Via
	steps   []step
	ended   bool // by the loop's thread
	done    atomic.Int64
	failed  atomic.Int64
	why     atomic.Pointer[error]
}

// short is one tunnel of a churn.
type short struct {
	c         *Churn
	fd        int
	connected bool
	step      int
	got       [512]byte
	n         int
}

// start begins a tunnel, on the loop's thread.
func (c *Churn) start() error {
	fd, err := socket(c.via.Source, unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: loopback, Port: c.via.Port})
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return err
	}
	s := &short{c: c, fd: fd}
	return c.clients.loop.add(fd, unix.EPOLLOUT, s.ready)
}

// ready goes on with a tunnel. At its end it starts the next.
func (s *short) ready(uint32) bool {
	more, err := s.advance()
	if more && err == nil {
		return true
	}
	if err != nil {
		s.c.failed.Add(1)
		s.c.why.Store(&err)
	} else {
		s.c.done.Add(1)
	}
	if s.c.ended {
		return false
	}
	if err := s.c.start(); err != nil {
		s.c.failed.Add(1)
		s.c.why.Store(&err)
	}
	return false
}

func (s *short) advance() (more bool, err error) {
	if !s.connected {
		if code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			return false, unix.Errno(code)
		}
		s.connected = true
		s.c.clients.loop.change(s.fd, unix.EPOLLIN, s.ready)
		return true, s.say()
	}
	n, err := unix.Read(s.fd, s.got[s.n:])
	switch {
	case err == unix.EAGAIN:
		return true, nil
	case err != nil:
		return false, err
	case n == 0:
		return false, errEarlyEnd
	}
	s.n += n
	end, err := s.c.steps[s.step].complete(s.got[:s.n])
	if err != nil || end == 0 {
		return true, err
	}
	s.step, s.n = s.step+1, 0
	if s.step == len(s.c.steps) {
		return false, nil
	}
	return true, s.say()
}

func (s *short) say() error {
	_, err := unix.Write(s.fd, s.c.steps[s.step].send)
	return err
}

// Done is how many tunnels have come and gone.
func (c *Churn) Done() int64 { return c.done.Load() }

// Failed is how many did not, and why the last of them.
func (c *Churn) Failed() (int64, error) {
	if why := c.why.Load(); why != nil {
		return c.failed.Load(), *why
	}
	return 0, nil
}

// Close lets no further tunnel begin. Those under way come to their end.
func (c *Churn) Close() {
	c.clients.loop.do(func() { c.ended = true })
}
