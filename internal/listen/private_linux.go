package listen

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownerOnly is the mode of the admin interface's socket: who may write to it may end
// tunnels.
const ownerOnly = 0o600

// listenPrivate listens on a socket that only the process's own user may connect to,
// from the moment that it is there and whatever the umask: bind(2) gives the file
// the mode that the socket has by then (unix_bind_bsd in net/unix/af_unix.c).
func listenPrivate(path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), ownerOnly) }); e != nil {
			return e
		}
		return err
	}}
	return lc.Listen(context.Background(), "unix", path)
}
