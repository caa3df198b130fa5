package server

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/acl"
	"sluice/internal/admin"
	"sluice/internal/admin/page"
	"sluice/internal/admin/site"
	"sluice/internal/config"
	"sluice/internal/explain"
	"sluice/internal/listen"
)

// adminServer is the open admin address. It is never that of a proxy listener.
type adminServer struct {
	address  string // as configured
	listener net.Listener
	server   *http.Server
	wg       sync.WaitGroup
}

// openAdmin finds or opens the admin address, "host:port" or "unix:/path"; "" is
// none.
func (s *Server) openAdmin(address string, o *opening) error {
	if address == "" {
		return nil
	}
	if a := s.force.Load().admin; a != nil && a.serves(address) {
		o.admin = a
		return nil
	}
	ln, err := listen.Inherited(s.o.Sockets, address)
	if err == nil && ln == nil {
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			ln, err = listen.UnixSocket(path)
		} else {
			ln, err = s.listenBeside(address, o)
		}
	}
	if err != nil {
		return err
	}
	o.admin, o.freshAdmin = &adminServer{address: address, listener: ln}, true
	s.setOwn(o)
	return nil
}

func (a *adminServer) serves(address string) bool {
	return listen.Same(a.address, address)
}

// newHandler makes what answers at the admin address. There is one also without such
// an address, for a reload may bring it.
func (s *Server) newHandler(started time.Time) *admin.Handler {
	return admin.New(admin.Options{
		Gate: s.gate, Version: s.o.Version, Started: started,
		Config:    s.inForce,
		Listening: s.listening,
		Explain:   s.explain,
		Panicked: func(value any, stack []byte) {
			s.panics.Add(1)
			s.log.Error("panic in the admin interface", zap.Any("panic", value), zap.ByteString("stack", stack))
		},
		Reload:  s.Reload,
		Totals:  s.metrics.Totals,
		Metrics: s.metrics,
		Page:    page.Handler(),
	})
}

// inForce returns the configuration, with the bounds that the machine has set, and
// when it was loaded.
func (s *Server) inForce() (*config.Config, time.Time) {
	f := s.force.Load()
	cfg := *f.cfg
	cfg.Server.MaxTunnels = f.room.tunnels
	cfg.Limits.Handshakes, cfg.Server.MaxHandshakes = s.waiting.Places()
	return &cfg, f.loaded
}

func (s *Server) listening() []string {
	var list []string
	for _, a := range s.Addrs() {
		list = append(list, a.String())
	}
	if a := s.AdminAddr(); a != nil {
		list = append(list, a.String())
	}
	return list
}

// explain answers what would become of a request now.
func (s *Server) explain(r acl.Request) explain.Answer {
	p := s.gate.Policy()
	return explain.Explain(p.ACL, p.Dialer.Refuses, r)
}

func (a *adminServer) start(h *admin.Handler) {
	a.server = site.Server(h)
	a.wg.Add(1)
	go func() {
		defer a.wg.Done()
		a.server.Serve(site.Listener(a.listener))
	}()
}

// lastAnswers is how long requests to an admin address that a reload has given up
// may take to be answered: the one that asked for the reload is among them.
const lastAnswers = 5 * time.Second

// retire stops listening, and has what is under way answered.
func (a *adminServer) retire(wg *sync.WaitGroup) {
	if a.server == nil {
		a.close()
		return
	}
	a.listener.Close()
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
		defer cancel()
		_ = a.server.Shutdown(ctx) // what it does not wait for is closed
		a.close()
	})
}

func (a *adminServer) close() {
	if a.server != nil {
		a.server.Close()
	}
	a.listener.Close() // when it was never served
	a.wg.Wait()
}
