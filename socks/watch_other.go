//go:build !unix

package socks

import "net"

// readable returns at once, as if there were bytes: sockets cannot be peeked at
// here, and a client that left is noticed when it is answered.
func readable(*net.TCPConn) error { return nil }

// reset returns at once, see readable.
func reset(*net.TCPConn) error { return nil }
