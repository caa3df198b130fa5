package systemd

import (
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Inherited takes over the sockets that the manager has passed, by the environment
// variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and removes these from the
// environment. It is to be called once. The error is a *WrongSocketError or the
// kernel's; with it everything is closed. In the end the caller closes the sockets.
func Inherited() (*Sockets, error) {
	s := &Sockets{}
	var wrong error
	for _, f := range activation.Files(true) {
		socket, err := inspect(f)
		if err != nil {
			if wrong == nil {
				wrong = err
			}
			continue
		}
		s.all = append(s.all, socket)
	}
	if wrong != nil {
		s.Close()
		return nil, wrong
	}
	return s, nil
}

// options are what the kernel says of a socket.
type options struct {
	domain, kind, protocol int
	listens, v6only        int
}

// inspect makes sure that a descriptor is a socket which can be listened on. It
// takes the file, or closes it, but for what is no socket: a wrong LISTEN_FDS may
// have named a descriptor of the Go runtime.
func inspect(f *os.File) (Socket, error) {
	o, err := optionsOf(f)
	if err != nil {
		return Socket{}, err
	}
	if what := o.wrong(); what != "" {
		f.Close()
		return Socket{}, &WrongSocketError{f.Name(), what}
	}
	ln, err := net.FileListener(f)
	if err != nil {
		f.Close()
		return Socket{}, fmt.Errorf("inherited socket %s: %w", f.Name(), err)
	}
	defer ln.Close()
	return Socket{Name: f.Name(), Addr: ln.Addr(), file: f, v6: o.v6only != 0}, nil
}

// wrong says what a socket is that cannot be served, or "".
func (o options) wrong() string {
	switch {
	case o.kind == unix.SOCK_DGRAM:
		return "a datagram socket"
	case o.kind != unix.SOCK_STREAM:
		return fmt.Sprintf("a socket of type %d", o.kind)
	case o.domain == unix.AF_UNIX:
	case o.domain != unix.AF_INET && o.domain != unix.AF_INET6:
		return fmt.Sprintf("a socket of family %d", o.domain)
	case o.protocol != unix.IPPROTO_TCP && o.protocol != unix.IPPROTO_MPTCP:
		return fmt.Sprintf("a socket of protocol %d", o.protocol)
	}
	if o.listens == 0 {
		return "a connection"
	}
	return ""
}

func optionsOf(f *os.File) (o options, err error) {
	raw, err := f.SyscallConn() // Fd would make it a blocking one, for all who have it
	if err != nil {
		return o, fmt.Errorf("inherited descriptor %s: %w", f.Name(), err)
	}
	var failed error
	get := func(to *int, level, option, fd int) {
		if failed == nil {
			*to, failed = unix.GetsockoptInt(fd, level, option)
		}
	}
	err = raw.Control(func(s uintptr) {
		fd := int(s)
		get(&o.domain, unix.SOL_SOCKET, unix.SO_DOMAIN, fd)
		get(&o.kind, unix.SOL_SOCKET, unix.SO_TYPE, fd)
		get(&o.protocol, unix.SOL_SOCKET, unix.SO_PROTOCOL, fd)
		get(&o.listens, unix.SOL_SOCKET, unix.SO_ACCEPTCONN, fd)
		if o.domain == unix.AF_INET6 && o.kind == unix.SOCK_STREAM {
			get(&o.v6only, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, fd)
		}
	})
	switch {
	case err == nil && failed == unix.ENOTSOCK:
		return o, &WrongSocketError{f.Name(), "no socket"}
	case err == nil && failed != nil:
		err = os.NewSyscallError("getsockopt", failed)
	}
	if err != nil {
		return o, fmt.Errorf("inherited descriptor %s: %w", f.Name(), err)
	}
	return o, nil
}
