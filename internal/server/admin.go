package server

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/acl"
	"sluice/internal/admin"
	"sluice/internal/admin/page"
	"sluice/internal/config"
	"sluice/internal/explain"
)

// adminServer is the open admin address. It is never that of a proxy listener.
type adminServer struct {
	listener net.Listener
	handler  *admin.Handler // nil until serveAdmin
	server   *http.Server
	wg       sync.WaitGroup
}

// openAdmin listens on "host:port" or "unix:/path".
func openAdmin(address string) (*adminServer, error) {
	var ln net.Listener
	var err error
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		ln, err = listenUnix(path)
	} else {
		ln, err = listenTCP(address)
	}
	if err != nil {
		return nil, err
	}
	return &adminServer{listener: ln}, nil
}

// serveAdmin makes what answers at the admin address, if there is one.
func (s *Server) serveAdmin(version string) {
	if s.admin == nil {
		return
	}
	started := time.Now()
	s.admin.handler = admin.New(admin.Options{
		Gate: s.gate, Version: version, Started: started,
		Config:    func() (*config.Config, time.Time) { return s.inForce(), started },
		Listening: s.listening,
		Explain:   s.explain,
		Totals:    s.metrics.Totals,
		Metrics:   s.metrics,
		Page:      page.Handler(),
	})
	s.admin.server = admin.Server(s.admin.handler)
}

// inForce returns the configuration with the bounds that the machine has set.
func (s *Server) inForce() *config.Config {
	cfg := *s.cfg
	cfg.Server.MaxTunnels = s.gate.Policy().MaxTunnels
	cfg.Limits.Handshakes, cfg.Server.MaxHandshakes = s.waiting.Places()
	return &cfg
}

func (s *Server) listening() []string {
	var list []string
	for _, a := range s.Addrs() {
		list = append(list, a.String())
	}
	return append(list, s.admin.listener.Addr().String())
}

// explain answers what would become of a request now.
func (s *Server) explain(r acl.Request) explain.Answer {
	p := s.gate.Policy()
	return explain.Explain(p.ACL, p.Dialer.Refuses, r)
}

func listenUnix(path string) (net.Listener, error) {
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

func (a *adminServer) start() {
	a.wg.Add(1)
	go func() {
		defer a.wg.Done()
		a.server.Serve(admin.Listener(a.listener))
	}()
}

func (a *adminServer) close() {
	if a.server != nil {
		a.server.Close()
		a.handler.Close()
	}
	a.listener.Close() // when it was never served
	a.wg.Wait()
}
