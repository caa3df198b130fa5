package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// socket sends datagrams to NOTIFY_SOCKET. Package daemon opens a socket for each
// message, which fails when there is no descriptor left, and waits while the
// manager's queue is full. This one does neither. It is not connected, so that it
// reaches a manager that has bound its address anew.
type socket struct {
	fd int
	to *unix.SockaddrUnix // nil: nobody
}

// openSocket returns a socket that is none when NOTIFY_SOCKET is not set.
func openSocket() (socket, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return socket{}, nil
	}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return socket{}, fmt.Errorf("NOTIFY_SOCKET is %q, neither a path nor an abstract address (@)", name)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return socket{}, fmt.Errorf("socket to the service manager: %w", os.NewSyscallError("socket", err))
	}
	return socket{fd, &unix.SockaddrUnix{Name: name}}, nil
}

func (s socket) none() bool { return s.to == nil }

func (s socket) close() { unix.Close(s.fd) }

// send never waits.
func (s socket) send(message string) error {
	for {
		err := unix.Sendto(s.fd, []byte(message), unix.MSG_NOSIGNAL, s.to)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("tell the service manager at %s: %w", s.to.Name, os.NewSyscallError("sendto", err))
		}
	}
}

// busy tells whether the manager's queue was full.
func busy(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) }
