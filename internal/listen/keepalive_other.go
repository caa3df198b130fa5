//go:build !linux

package listen

import (
	"net"
	"syscall"
)

// keepAlive does nothing where connections may not inherit it; idle timeouts find
// clients that have vanished.
func keepAlive(_, _ string, _ syscall.RawConn) error { return nil }

// KeepAliveLater does nothing here either.
func KeepAliveLater(*net.TCPConn) {}
