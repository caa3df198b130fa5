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

// reset waits until a connection that has bytes to read is reset, by asking for the
// socket's own error, and returns that or an error of the connection.
func reset(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var found error
	err = raw.Read(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && n != 0 {
			err = unix.Errno(n)
		}
		found = err
		return err != nil
	})
	if err != nil {
		return err
	}
	return found
}
