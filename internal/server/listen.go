package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/listen"
	"sluice/socks"
)

// listener is one open proxy listener.
type listener struct {
	settings  atomic.Pointer[config.Listener] // another spelling, or protocol, after a reload
	tcp       *net.TCPListener
	inherited bool          // its socket is the service manager's, and outlives this process
	retired   atomic.Bool   // it accepts no more than what waits already
	stopped   chan struct{} // closed when it accepts nothing any more
}

func newListener(c config.Listener, tcp *net.TCPListener, inherited bool) *listener {
	l := &listener{tcp: tcp, inherited: inherited, stopped: make(chan struct{})}
	l.settings.Store(&c)
	return l
}

func (l *listener) addr() netip.AddrPort { return l.tcp.Addr().(*net.TCPAddr).AddrPort() }

// address is the configured one.
func (l *listener) address() string { return l.settings.Load().Address }

// speaksSOCKS tells which protocol a connection is served with. Any HTTP request
// begins with a letter, so on an auto listener the first byte decides.
func (l *listener) speaksSOCKS(first byte) bool {
	switch l.settings.Load().Protocol {
	case config.SOCKS5:
		return true
	case config.HTTP:
		return false
	}
	return first == socks.Version || first == 4 // SOCKS4 is told apart to be refused as such
}

// What waits on a listener when it retires was promised to be served by the kernel,
// which has taken the connection. It is accepted within lastAccepts, and then the
// listener closes, by lastClose at the latest.
const (
	lastAccepts = 20 * time.Millisecond
	lastClose   = time.Second
)

// retire has the listener accept what waits, and then close. An inherited one
// closes at once: what waits there is its next owner's.
func (l *listener) retire() {
	l.retired.Store(true)
	if l.inherited {
		l.tcp.Close()
		return
	}
	l.tcp.SetDeadline(time.Now().Add(lastAccepts))
	time.AfterFunc(lastClose, func() { l.tcp.Close() })
}

// serves tells whether the listener's socket is the one that an address means.
func (l *listener) serves(address string) bool {
	return listen.Same(l.address(), address)
}

// opening is the sockets of a configuration: those that are open already, and those
// that were opened for it.
type opening struct {
	listeners []*listener
	admin     *adminServer // nil: there is none

	fresh      []*listener // of listeners
	freshAdmin bool
	leaving    []*listener // open, and not in listeners
}

// open opens what a configuration names and is not open yet. After an error nothing
// has changed. The caller holds reloading.
func (s *Server) open(cfg *config.Config) (*opening, error) {
	o := &opening{leaving: slices.Clone(s.force.Load().listeners)}
	o.listeners = make([]*listener, len(cfg.Listeners))
	for i, c := range cfg.Listeners {
		o.listeners[i] = o.keep(c.Address)
	}
	for i, c := range cfg.Listeners {
		if o.listeners[i] != nil {
			continue
		}
		l, err := s.openListener(c, o)
		if err != nil {
			o.abort()
			return nil, fmt.Errorf("listener %s: %w", c.Address, err)
		}
		o.listeners[i] = l
		o.fresh = append(o.fresh, l)
		s.setOwn(o)
	}
	if err := s.openAdmin(cfg.Admin, o); err != nil {
		o.abort()
		return nil, fmt.Errorf("admin address %s: %w", cfg.Admin, err)
	}
	return o, nil
}

// keep takes the listener of an address out of those that leave.
func (o *opening) keep(address string) *listener {
	for i, l := range o.leaving {
		if l.serves(address) {
			o.leaving = slices.Delete(o.leaving, i, i+1)
			return l
		}
	}
	return nil
}

func (s *Server) openListener(c config.Listener, o *opening) (*listener, error) {
	ln, err := listen.Inherited(s.o.Sockets, c.Address)
	if err != nil {
		return nil, err
	}
	if ln != nil {
		return newListener(c, ln.(*net.TCPListener), true), nil
	}
	tcp, err := s.listenBeside(c.Address, o)
	if err != nil {
		return nil, err
	}
	return newListener(c, tcp, false), nil
}

// listenBeside listens on an address also where a socket of this process that a
// reload is about to close has it in part: 127.0.0.1:3128 before :3128, say.
func (s *Server) listenBeside(address string, o *opening) (*net.TCPListener, error) {
	tcp, err := listen.TCP(address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return tcp, err
	}
	var leaving []syscall.Conn
	for _, l := range o.leaving {
		leaving = append(leaving, l.tcp)
	}
	if a := s.force.Load().admin; a != nil && o.admin != a {
		if c, ok := a.listener.(*net.TCPListener); ok {
			leaving = append(leaving, c)
		}
	}
	if len(leaving) == 0 {
		return nil, err
	}
	return listen.Over(address, leaving, err)
}

// close closes what leaves; if it was served it returns when nothing is accepted there
// any more.
func (o *opening) close(served bool) {
	for _, l := range o.leaving {
		l.retire()
	}
	for _, l := range o.leaving {
		if served {
			<-l.stopped
		} else {
			l.tcp.Close()
		}
	}
}

// abort closes what was opened.
func (o *opening) abort() {
	for _, l := range o.fresh {
		l.tcp.Close()
	}
	if o.freshAdmin {
		o.admin.close()
	}
}
