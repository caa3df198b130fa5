package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// socket sends datagrams to NOTIFY_SOCKET. Package daemon opens a socket for each
// message, which fails when there is no descriptor left, and waits while the
// manager's queue is full. This one does neither. It is not connected, so that it
// reaches a manager that has bound its address anew.
type socket struct {
	to string

	mu sync.Mutex
	fd int // -1 once closed
}

// openSocket returns nil when NOTIFY_SOCKET is not set.
func openSocket() (*socket, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q, neither a path nor an abstract address (@)", name)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket to the service manager: %w", os.NewSyscallError("socket", err))
	}
	return &socket{to: name, fd: fd}, nil
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// send never waits. After close it sends nothing.
func (s *socket) send(message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	for {
		err := unix.Sendto(s.fd, []byte(message), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: s.to})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("tell the service manager at %s: %w", s.to, os.NewSyscallError("sendto", err))
		}
	}
}

// busy tells whether the manager's queue was full.
func busy(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) }
