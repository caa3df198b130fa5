package front

import (
	"net"

	"golang.org/x/sys/unix"
)

// acked returns how many bytes the other end has acknowledged so far, or 0. A client
// that reads slowly acknowledges little by little, while a write to it may wait for
// minutes: the kernel wakes the writer only when a third of the send buffer is free.
// Linux counts them since 4.1.
func acked(conn *net.TCPConn) uint64 {
	if conn == nil {
		return 0
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var n uint64
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_acked
		}
	})
	return n
}
