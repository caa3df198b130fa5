//go:build unix

package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Over listens on an address that sockets of this process have in part, by
// having them share it (SO_REUSEPORT, socket(7)), so that at no moment nobody listens
// there. Other processes of this user could share it from then on, if they ask for
// that in the same way; those that do not are kept out as ever. If sharing does not
// help, the error is the one of the attempt before.
func Over(address string, with []syscall.Conn, before error) (*net.TCPListener, error) {
	for _, c := range with {
		share(c, true)
		defer share(c, false)
	}
	tcp, err := listenTCP(address, func(network, address string, raw syscall.RawConn) error {
		if err := keepAlive(network, address, raw); err != nil {
			return err
		}
		return shareRaw(raw, true)
	})
	if err != nil {
		return nil, before
	}
	share(tcp, false)
	return tcp, nil
}

func share(c syscall.Conn, on bool) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = shareRaw(raw, on) // without it the address is in use, which is said then
	}
}

func shareRaw(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value)
	}); e != nil {
		return e
	}
	return err
}
