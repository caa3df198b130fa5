package listen

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// As for connections to origins: a probe after two minutes without a byte, then
// every 15 s; nine that are lost end the connection.
const (
	keepAliveIdle     = 2 * time.Minute
	keepAliveInterval = 15 * time.Second
)

func keepAlive(_, _ string, raw syscall.RawConn) error {
	var err error
	set := func(fd uintptr) {
		for _, o := range [3][3]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle.Seconds())},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveInterval.Seconds())},
		} {
			if err == nil {
				err = unix.SetsockoptInt(int(fd), o[0], o[1], o[2])
			}
		}
	}
	if e := raw.Control(set); e != nil {
		return e
	}
	return err
}

// KeepAliveLater undoes what the library does to each connection of an inherited
// listener, which nobody can tell to leave keep-alive alone: it has the first probe
// come after 15 s.
func KeepAliveLater(conn *net.TCPConn) {
	// An error says that the connection is gone.
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: -1, Count: -1})
}
