//go:build unix

package server

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spares are descriptors that are held back, so that somebody can be answered
// when there is no other. A connection that is accepted on one is served for
// spareTime at most, and the gate opens no tunnel for it.
type spares struct {
	mu     sync.Mutex
	held   []int
	closed bool
}

const (
	spareCount = 8
	spareTime  = time.Second
)

// fill holds as many as there should be, if there are so many.
func (s *spares) fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && len(s.held) < spareCount {
		fd, err := descriptor()
		if err != nil {
			return
		}
		s.held = append(s.held, fd)
	}
}

func descriptor() (int, error) {
	return unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// plenty tells whether there is a descriptor when all spares are held.
func (s *spares) plenty() bool {
	s.fill()
	fd, err := descriptor()
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// release gives one back to the process.
func (s *spares) release() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 {
		return false
	}
	last := len(s.held) - 1
	unix.Close(s.held[last])
	s.held = s.held[:last]
	return true
}

func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for s.release() {
	}
}

// acceptWait bounds an accept that is known to have something to accept.
const acceptWait = 50 * time.Millisecond

// accept accepts once more, with a descriptor that was held back, after an accept
// has failed for want of one. accept(2) fails so with no connection waiting, too,
// for it takes the descriptor first; hence the look before.
func (s *spares) accept(l *net.TCPListener, failed error) (conn *net.TCPConn, ok bool) {
	if !errors.Is(failed, syscall.EMFILE) && !errors.Is(failed, syscall.ENFILE) {
		return nil, false
	}
	if !acceptable(l) || !s.release() {
		s.fill()
		return nil, false
	}
	l.SetDeadline(time.Now().Add(acceptWait))
	defer l.SetDeadline(time.Time{})
	conn, err := l.AcceptTCP()
	if err != nil {
		s.fill()
		return nil, false
	}
	return conn, true
}

// acceptable tells whether a connection waits.
func acceptable(l *net.TCPListener) bool {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && n > 0
}
