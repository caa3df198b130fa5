package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"sluice/internal/config"
	"sluice/socks"
)

// listener is one open proxy listener.
type listener struct {
	config.Listener
	tcp *net.TCPListener
}

func (l *listener) addr() netip.AddrPort { return l.tcp.Addr().(*net.TCPAddr).AddrPort() }

// speaksSOCKS tells which protocol a connection is served with. Any HTTP request
// begins with a letter, so on an auto listener the first byte decides.
func (l *listener) speaksSOCKS(first byte) bool {
	switch l.Protocol {
	case config.SOCKS5:
		return true
	case config.HTTP:
		return false
	}
	return first == socks.Version || first == 4 // SOCKS4 is told apart to be refused as such
}

// listenTCP listens on "host:port". The Go library takes 0.0.0.0 for all addresses
// of both families; whoever writes it means, and guards, those of IPv4.
func listenTCP(address string) (net.Listener, error) {
	// The library would set keep-alive on each connection by four calls, and probe
	// every 15 s. On Linux a connection has what its listener has (tcp(7)).
	lc := net.ListenConfig{KeepAlive: -1, Control: keepAlive}
	lc.SetMultipathTCP(false) // its sockets cost more and their splice differs
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		network = "tcp4"
	}
	return lc.Listen(context.Background(), network, address)
}

// listen opens the configured listeners and the admin address. After an error
// the caller closes what is open.
func (s *Server) listen() error {
	for _, c := range s.cfg.Listeners {
		ln, err := listenTCP(c.Address)
		if err != nil {
			return fmt.Errorf("listener %s: %w", c.Address, err)
		}
		s.listeners = append(s.listeners, &listener{Listener: c, tcp: ln.(*net.TCPListener)})
	}
	if s.cfg.Admin == "" {
		return nil
	}
	a, err := openAdmin(s.cfg.Admin)
	if err != nil {
		return fmt.Errorf("admin address %s: %w", s.cfg.Admin, err)
	}
	s.admin = a
	return nil
}
