// Package listen opens the sockets that a server listens on: of TCP, of the unix
// domain, and those that a service manager has passed. It also knows which connections
// to close in the end. Accepting is left to others.
package listen

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"sluice/internal/systemd"
)

// TCP listens on "host:port", or ":port" for all addresses. The Go library takes
// 0.0.0.0 for all addresses of both families; whoever writes it means, and guards,
// those of IPv4. What it accepts probes a silent client after two minutes.
func TCP(address string) (*net.TCPListener, error) { return listenTCP(address, keepAlive) }

func listenTCP(address string, control func(network, address string, raw syscall.RawConn) error) (*net.TCPListener, error) {
	// The library would set keep-alive on each connection by four calls, and probe
	// every 15 s. On Linux a connection has what its listener has (tcp(7)).
	lc := net.ListenConfig{KeepAlive: -1, Control: control}
	lc.SetMultipathTCP(false) // its sockets cost more and their splice differs
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		network = "tcp4"
	}
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// Inherited returns a listener on the socket for an address that the service manager
// has passed, or nil. It is given what TCP gives its own.
func Inherited(sockets *systemd.Sockets, address string) (net.Listener, error) {
	ln, err := sockets.Listen(address)
	tcp, ok := ln.(*net.TCPListener)
	if err != nil || !ok {
		return ln, err
	}
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = keepAlive("tcp", address, raw)
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return tcp, nil
}

// Same tells whether two spellings of an address mean one socket.
func Same(a, b string) bool { return a == b || normal(a) != "" && normal(a) == normal(b) }

// normal is the one spelling of an address to listen on; "" for one whose port the
// system chooses, which is another one each time.
func normal(address string) string {
	host, port, err := net.SplitHostPort(address)
	if n, _ := strconv.Atoi(port); err != nil || n == 0 {
		return ""
	}
	if host == "" {
		host = "::"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(a.String(), port)
}
