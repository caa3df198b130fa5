//go:build !linux

package front

import "net"

// acked is not known here: a client counts as reading while writes to it end.
func acked(*net.TCPConn) uint64 { return 0 }
