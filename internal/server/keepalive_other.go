//go:build !linux

package server

import (
	"net"
	"syscall"
)

// keepAlive does nothing where connections may not inherit it; idle timeouts find
// clients that have vanished.
func keepAlive(_, _ string, _ syscall.RawConn) error { return nil }

func keepAliveLater(*net.TCPConn) {}
