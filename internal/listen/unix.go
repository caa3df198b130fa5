package listen

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// UnixSocket listens on the path of a socket to which only the process's own user may
// connect. One that a process has left behind when it was killed is taken away.
func UnixSocket(path string) (net.Listener, error) {
	ln, err := listenPrivate(path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) && os.Remove(path) == nil {
		return listenPrivate(path)
	}
	return ln, err
}

// abandoned tells whether a path is a socket that nobody listens on: it stays
// behind when a process is killed, and would keep each later one from starting.
func abandoned(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
