//go:build unix

package socks

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// readable waits until the connection has bytes to read, and takes none. Its
// errors are io.EOF and those of the connection.
func readable(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, peeked = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
		return peeked != unix.EAGAIN && peeked != unix.EINTR
	})
	switch {
	case err != nil:
		return err
	case peeked == nil && n == 0:
		return io.EOF
	}
	return peeked
}
