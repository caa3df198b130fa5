package systemd

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Sockets are the listening sockets that this process was started with. The nil
// and the zero Sockets are none. They stay open until Close, so that an address
// which a reload has given up can be had again: its socket is the manager's, and
// nobody else could listen there.
type Sockets struct {
	all []Socket
}

// Socket is one of them.
type Socket struct {
	Name string   // FileDescriptorName= of its unit; the unit's name by default
	Addr net.Addr // *net.TCPAddr or *net.UnixAddr
	file *os.File
	v6   bool // bound to IPv6 alone (IPV6_V6ONLY)
}

// String tells the address and the name, for messages.
func (s Socket) String() string {
	only := ""
	if s.v6 && s.Addr.(*net.TCPAddr).IP.IsUnspecified() {
		only = " (IPv6 only)"
	}
	return fmt.Sprintf("%s%s (%s)", s.Addr, only, s.Name)
}

// WrongSocketError says that the manager has handed over something to which nobody
// can connect.
type WrongSocketError struct {
	Name string // FileDescriptorName= of its unit
	What string // "a datagram socket"
}

func (e *WrongSocketError) Error() string {
	return fmt.Sprintf("the service manager has passed %s, %s: only listening TCP and unix stream sockets can be served (ListenStream= with Accept=no)", e.Name, e.What)
}

// Listen returns a listener on the inherited socket that fits an address to listen
// on, or nil when none does. The address is "host:port", ":port" for all addresses,
// "0.0.0.0:port" for those of IPv4, or "unix:/path"; port 0 fits none.
//
// The caller closes the listener. That takes nothing from the socket's queue: what
// waits there, or comes later, is for whoever listens next.
func (s *Sockets) Listen(address string) (net.Listener, error) {
	i := s.find(address)
	if i < 0 {
		return nil, nil
	}
	ln, err := net.FileListener(s.all[i].file)
	if err != nil {
		return nil, fmt.Errorf("inherited socket %s: %w", s.all[i], err)
	}
	return ln, nil
}

// Unused returns the sockets that fit none of the addresses. The kernel goes on
// taking connections there, and nobody answers them.
func (s *Sockets) Unused(addresses []string) []Socket {
	if s == nil {
		return nil
	}
	used := make([]bool, len(s.all))
	for _, a := range addresses {
		if i := s.find(a); i >= 0 {
			used[i] = true
		}
	}
	var unused []Socket
	for i, socket := range s.all {
		if !used[i] {
			unused = append(unused, socket)
		}
	}
	return unused
}

// Close closes this process's copies of all sockets. Listeners live on.
func (s *Sockets) Close() {
	if s == nil {
		return
	}
	for _, socket := range s.all {
		socket.file.Close()
	}
	s.all = nil
}

// find returns the index of the socket that fits an address best, or -1.
func (s *Sockets) find(address string) int {
	if s == nil || len(s.all) == 0 {
		return -1
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return s.first(func(s Socket) bool {
			a, ok := s.Addr.(*net.UnixAddr)
			return ok && a.Name == path
		})
	}
	want, ok := parse(address)
	if !ok {
		return -1
	}
	if want.Addr().Is4() || !want.Addr().IsUnspecified() {
		return s.bound(want)
	}
	// All addresses: a socket of both families, or where the manager knew of no
	// IPv6 (systemd.socket(5), a ListenStream= that is a port alone), of IPv4.
	both := s.first(func(s Socket) bool { return !s.v6 && s.addrPort() == want })
	if both >= 0 {
		return both
	}
	return s.bound(netip.AddrPortFrom(netip.IPv4Unspecified(), want.Port()))
}

func (s *Sockets) bound(want netip.AddrPort) int {
	return s.first(func(s Socket) bool { return s.addrPort() == want })
}

func (s *Sockets) first(fits func(Socket) bool) int {
	for i, socket := range s.all {
		if fits(socket) {
			return i
		}
	}
	return -1
}

// addrPort is the zero AddrPort for a unix socket.
func (s Socket) addrPort() netip.AddrPort {
	a, ok := s.Addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return unmapped(a.AddrPort())
}

// parse reads an address to listen on; "::" stands for no host. A name is looked up
// as listening on it would look it up.
func parse(address string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			return a, false // listening on it will say why
		}
		a = tcp.AddrPort()
		if tcp.IP == nil {
			a = netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
		}
	}
	return unmapped(a), a.Port() != 0
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
